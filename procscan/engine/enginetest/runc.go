package enginetest

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
)

// Runtime is runc or crun, with states where they are by default.
type Runtime struct {
	t    *testing.T
	name string
	user *User
	dir  string
}

// StartRuntime prepares runc or crun, of root without a user.
func StartRuntime(t *testing.T, name string, user *User) *Runtime {
	t.Helper()
	Need(t, name, "busybox", "unshare")
	return &Runtime{t: t, name: name, user: user, dir: Dir(t)}
}

// Bundle makes a bundle that sleeps, and returns its directory. edit changes its configuration, which is decoded JSON.
func (r *Runtime) Bundle(edit func(config map[string]any)) string {
	r.t.Helper()
	dir, err := os.MkdirTemp(r.dir, "bundle.")
	if err == nil {
		err = os.Chmod(dir, 0o755)
	}
	if err != nil {
		r.t.Fatal(err)
	}
	Rootfs(r.t, dir+"/rootfs")
	spec := []string{r.name, "spec"}
	if r.user != nil {
		spec = append(spec, "--rootless")
		Run(r.t, nil, "chown", "-R", r.user.Name, dir)
		spec = r.user.Argv(append([]string{"sh", "-c", `cd "$0" && exec "$@"`, dir}, spec...)...)
	} else {
		spec = append([]string{"sh", "-c", `cd "$0" && exec "$@"`, dir}, spec...)
	}
	Run(r.t, r.env(), spec[0], spec[1:]...)
	file := filepath.Join(dir, "config.json")
	data, err := os.ReadFile(file)
	if err != nil {
		r.t.Fatal(err)
	}
	var config map[string]any
	if err := json.Unmarshal(data, &config); err != nil {
		r.t.Fatal(err)
	}
	process := config["process"].(map[string]any)
	process["args"], process["terminal"] = []string{"sleep", "1000"}, false
	delete(process, "rlimits") // raising them wants CAP_SYS_RESOURCE
	edit(config)
	if data, err = json.Marshal(config); err != nil {
		r.t.Fatal(err)
	}
	if err := os.WriteFile(file, data, 0o644); err != nil {
		r.t.Fatal(err)
	}
	return dir
}

func (r *Runtime) env() []string {
	if r.user != nil {
		return r.user.Env()
	}
	return nil
}

// Make runs "run -d" or "create" for a container, and deletes it at the end of the test. Its stdin is a pipe and its
// output a file: crun would chown the host's /dev/null.
func (r *Runtime) Make(how []string, id, bundle string) {
	r.t.Helper()
	argv := append(append([]string{r.name}, how...), "-b", bundle, id)
	argv = append([]string{"sh", "-c", `: | "$@" >"$0" 2>&1 || { cat "$0" >&2; exit 1; }`, filepath.Join(bundle, "log")}, argv...)
	r.t.Cleanup(func() { r.Run("delete", "-f", id) })
	r.run(argv)
}

// Run runs the runtime.
func (r *Runtime) Run(args ...string) string {
	r.t.Helper()
	return r.run(append([]string{r.name}, args...))
}

func (r *Runtime) run(argv []string) string {
	r.t.Helper()
	switch {
	case r.user != nil:
		argv = r.user.Argv(argv...)
	case r.name == "crun":
		argv = Crunnable(argv...)
	}
	return Run(r.t, r.env(), argv[0], argv[1:]...)
}
