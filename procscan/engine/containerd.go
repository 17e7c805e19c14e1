package engine

import (
	"encoding/json"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/nsview/nsview/nsinspect"
)

// containerd reads the bundles of containerd's tasks, STATE/io.containerd.runtime.v2.task/NAMESPACE/ID, with names and
// labels in the annotations of config.json: those of CRI (Kubernetes), of nerdctl, of ctr run --label. The start
// time of the process is in the state of runc. Namespace moby is docker's, whose records say more.
//
// A container is called what its users type: POD/CONTAINER of Kubernetes, the name of nerdctl, the id of ctr. Its ID is
// containerd's, which each namespace has for itself: before one that is not made at random, and not of namespace default,
// stands the namespace, NAMESPACE/ID.
//
// A container without a task (made and never started, or stopped and not started again) is in containerd's own database
// alone, and not listed. The name of the image is nowhere else either, but where CRI annotates it.
func containerd() Engine {
	return Engine{Name: "containerd", Programs: []string{"containerd", "containerd-shim"}, Files: containerdFiles, Identify: containerdIdentify}
}

// containerdRoot is where one containerd keeps its things.
type containerdRoot struct {
	state  string
	runc   string // where its shims have runc keep its states, unless options.json of the bundle says otherwise
	owner  uint32
	daemon int // its PID, 0 when it does not run
}

// The defaults of containerd(8), its config file, and the shim (RuncRoot of containerd's runc-v2 shim, whatever the
// state directory is).
const (
	containerdState  = "/run/containerd"
	containerdConfig = "/etc/containerd/config.toml"
	containerdTasks  = "/io.containerd.runtime.v2.task"
)

// containerdRoots lists the daemons: those that run, the host's, and those of users.
func containerdRoots(e *Evidence) []containerdRoot {
	var roots []containerdRoot
	add := func(r containerdRoot) {
		if !slices.ContainsFunc(roots, func(have containerdRoot) bool { return have.state == r.state }) {
			roots = append(roots, r)
		}
	}
	for _, p := range e.named("containerd") {
		if !p.UID.Mapped() {
			continue
		}
		r := containerdDefaults(uint32(p.UID))
		r.daemon = p.PID
		if f := e.fileBy(containerdConfigOf(e, p), r.owner); f != nil {
			if state := tomlState(f.Data); path.IsAbs(state) {
				r.state = path.Clean(state)
			}
		}
		if state := p.flag("state"); state != "" {
			r.state = p.path(state)
		}
		add(r)
	}
	add(containerdDefaults(0))
	for i := range e.Users {
		add(containerdDefaults(e.Users[i].UID))
	}
	return roots
}

// containerdDefaults are the places of a daemon that has no flags. A user's has a mount namespace in which its runtime
// directory is at /run/containerd (nerdctl: containerd-rootless.sh).
func containerdDefaults(uid uint32) containerdRoot {
	state := containerdState
	if uid != 0 {
		state = clientRuntimeDir(uid) + "/containerd"
	}
	return containerdRoot{state: state, runc: state + "/runc", owner: uid}
}

func containerdConfigOf(e *Evidence, p *Program) string {
	if config := p.flag("config", "c"); config != "" {
		return p.path(config)
	}
	if p.UID == 0 {
		return containerdConfig
	}
	if u := e.user(uint32(p.UID)); u != nil && u.Home != "" {
		return path.Join(u.Home, ".config/containerd/config.toml")
	}
	return ""
}

// path is a path as the program takes it, "" when its working directory is needed and unknown.
func (p *Program) path(name string) string {
	switch {
	case path.IsAbs(name):
		return path.Clean(name)
	case p.Cwd == "":
		return ""
	}
	return path.Join(p.Cwd, name)
}

// tomlState is the string that config.toml has for state, which stands before its first table.
func tomlState(data []byte) string {
	for line := range strings.Lines(string(data)) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "[") {
			break
		}
		key, value, ok := strings.Cut(line, "=")
		value = strings.TrimSpace(value)
		if !ok || strings.TrimSpace(key) != "state" || value == "" {
			continue
		}
		if quote := value[:1]; quote == `"` || quote == "'" {
			value, _, _ = strings.Cut(value[1:], quote)
			return value
		}
	}
	return ""
}

// containerdNamespaces are those that a shim has a task in, but for docker's.
func containerdNamespaces(e *Evidence) []string {
	var list []string
	for _, shim := range e.named("containerd-shim") {
		ns := shim.flag("namespace")
		if ns != dockerNamespace && plainUnit(ns) && !slices.Contains(list, ns) {
			list = append(list, ns)
		}
	}
	return list
}

func containerdFiles(e *Evidence) []Pattern {
	namespaces := containerdNamespaces(e)
	if len(namespaces) == 0 {
		return nil
	}
	var patterns []Pattern
	for _, p := range e.named("containerd") {
		if config := containerdConfigOf(e, p); config != "" && p.UID.Mapped() {
			patterns = append(patterns, Pattern{Glob: config, Owner: uint32(p.UID)})
		}
	}
	for _, r := range containerdRoots(e) {
		for _, ns := range namespaces {
			for _, name := range []string{"config.json", "init.pid", "options.json"} {
				patterns = append(patterns, Pattern{Glob: path.Join(r.state, containerdTasks, ns, "*", name), Owner: r.owner})
			}
			for _, runc := range containerdRuncs(e, r, ns) {
				patterns = append(patterns, Pattern{Glob: path.Join(runc, ns, "*/state.json"), Owner: r.owner})
			}
		}
	}
	return patterns
}

// containerdRuncs are the directories where runc keeps the states of a daemon's tasks.
func containerdRuncs(e *Evidence, r containerdRoot, ns string) []string {
	list := []string{r.runc}
	for _, f := range e.matching(path.Join(r.state, containerdTasks, ns, "*/options.json")) {
		if o := readShimOptions(f); path.IsAbs(o.Root) && !slices.Contains(list, o.Root) {
			list = append(list, o.Root)
		}
	}
	return list
}

// shimOptions is options.json, what the shim was told (containerd: api/types/runcoptions/v1).
type shimOptions struct {
	Runtime string `json:"binary_name"`
	Root    string `json:"root"`
}

func readShimOptions(f *File) shimOptions {
	var o shimOptions
	if f == nil || json.Unmarshal(f.Data, &o) != nil {
		return shimOptions{}
	}
	return o
}

func containerdIdentify(e *Evidence) []Found {
	var found []Found
	ids, bundles := make(map[string]bool), make(map[string]bool)
	for _, r := range containerdRoots(e) {
		for _, f := range e.matching(path.Join(r.state, containerdTasks, "*/*/config.json")) {
			task := containerdTaskOf(path.Dir(f.Path))
			if spec := readBundle(f.Data); spec != nil && f.By == r.owner && task.ns != dockerNamespace {
				claim := task.claim(e, r, spec)
				if ids[claim.ID] {
					claim.ID = task.bundle // two daemons have the same
				}
				ids[claim.ID], bundles[task.bundle] = true, true
				found = append(found, Found{Claim: claim, By: f.By})
			}
		}
	}
	for _, shim := range e.named("containerd-shim") {
		task := containerdTask{ns: shim.flag("namespace"), id: shim.flag("id"), bundle: shim.Cwd}
		f := e.shimmed(shim, task.id)
		if f == nil || task.ns == dockerNamespace || bundles[task.bundle] {
			continue
		}
		f.ID, f.Name = task.name(f.By), task.called()
		found = append(found, *f)
	}
	return found
}

// containerdTask is a container with a bundle.
type containerdTask struct{ ns, id, bundle string }

func containerdTaskOf(bundle string) containerdTask {
	return containerdTask{ns: path.Base(path.Dir(bundle)), id: path.Base(bundle), bundle: bundle}
}

// name is the ID of a task of uid's daemon.
func (t *containerdTask) name(uid uint32) string {
	switch {
	case hexID(t.id):
		return t.id
	case t.ns == "default":
		return ownID(uid, t.id)
	}
	return ownID(uid, t.ns+"/"+t.id)
}

// called is what a task is called that no annotation names: an id made at random is no name.
func (t *containerdTask) called() string {
	if hexID(t.id) {
		return ""
	}
	return t.id
}

func (t *containerdTask) claim(e *Evidence, r containerdRoot, spec *bundleSpec) nsinspect.Claim {
	claim := nsinspect.Claim{ID: t.name(r.owner), Name: t.called()}
	claim.EngineFacts = nsinspect.EngineFacts{State: "created", Evidence: "state", Bundle: t.bundle, Labels: spec.Annotations}
	claim.Image = spec.Annotations["io.kubernetes.cri.image-name"]
	if name := spec.Annotations["nerdctl/name"]; name != "" {
		claim.Name = name
	}
	names := criNames(spec.Annotations)
	names.addTo(&claim)
	if f := e.fileBy(t.bundle+"/init.pid", r.owner); f != nil {
		if pid, err := strconv.Atoi(strings.TrimSpace(string(f.Data))); err == nil && pid > 0 {
			claim.InitPID, claim.State = pid, "running"
		}
	}
	options := readShimOptions(e.fileBy(t.bundle+"/options.json", r.owner))
	if options.Runtime != "" {
		claim.Runtime = path.Base(options.Runtime)
	}
	for _, runc := range containerdRuncs(e, r, t.ns) {
		f := e.fileBy(path.Join(runc, t.ns, t.id, "state.json"), r.owner)
		if f == nil || !aboutBundle(f, t.bundle) {
			continue
		}
		ociState(&claim, f.Data)
		if claim.Runtime == "" {
			claim.Runtime = "runc"
		}
	}
	spec.addTo(&claim)
	if p := e.program(r.daemon); p != nil {
		claim.Chain = append(claim.Chain, link(p.PID, p.Comm, "daemon"))
	}
	if init := e.Snapshot.Process(claim.InitPID); init != nil {
		if shim := e.program(init.PPID); shim != nil && shim.Comm == "containerd-shim" {
			claim.Chain = append(claim.Chain, link(shim.PID, shim.Comm, "shim"))
		}
	}
	return claim
}

// aboutBundle reports whether a state of runc is that of the container with that bundle: the daemons of a host share one
// directory of states.
func aboutBundle(f *File, bundle string) bool {
	c := nsinspect.Claim{}
	ociState(&c, f.Data)
	return c.Bundle == "" || path.Clean(c.Bundle) == bundle
}
