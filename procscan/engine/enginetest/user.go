package enginetest

import (
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// User is an ordinary user that exists for one test, with a home directory, a runtime directory and a grant of
// subordinate ids.
type User struct {
	Name       string
	UID, GID   int
	Home       string
	RuntimeDir string // its XDG_RUNTIME_DIR
	SubUID     int    // the first of 65536
	SubGID     int
}

// NewUser adds a user, and removes it at the end of the test.
func NewUser(t *testing.T) *User {
	t.Helper()
	Need(t, "useradd", "userdel", "setpriv")
	// A uid of its own, whatever processes of users that are gone still run. useradd grants subordinate ids up to 60000.
	uid := 30000 + os.Getpid()%20000
	u := &User{Name: fmt.Sprintf("nsvtest%d", uid), Home: Dir(t)}
	Run(t, nil, "useradd", "--uid", strconv.Itoa(uid), "--no-create-home", "--home-dir", u.Home, "--shell", "/bin/sh", u.Name)
	t.Cleanup(func() { Run(t, nil, "userdel", "--force", u.Name) })
	u.UID, u.GID = number(t, Run(t, nil, "id", "-u", u.Name)), number(t, Run(t, nil, "id", "-g", u.Name))
	u.SubUID, u.SubGID = grant(t, "/etc/subuid", u.Name), grant(t, "/etc/subgid", u.Name)
	u.RuntimeDir = u.Home + "/run"
	if err := os.Mkdir(u.RuntimeDir, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{u.Home, u.RuntimeDir} {
		if err := os.Chown(dir, u.UID, u.GID); err != nil {
			t.Fatal(err)
		}
	}
	return u
}

// LoggedIn gives the user the runtime directory that a login gives, in which engines are looked for by default.
func (u *User) LoggedIn(t *testing.T) *User {
	t.Helper()
	u.RuntimeDir = "/run/user/" + strconv.Itoa(u.UID)
	Run(t, nil, "install", "-d", "-m", "700", "-o", u.Name, u.RuntimeDir)
	t.Cleanup(func() {
		if err := os.RemoveAll(u.RuntimeDir); err != nil {
			t.Error(err)
		}
	})
	return u
}

// Argv runs a command as the user, from the user's home directory. Env is what its environment must have.
func (u *User) Argv(argv ...string) []string {
	script := "cd " + u.Home + ` && exec "$@"`
	return append([]string{
		"setpriv", "--reuid=" + u.Name, "--regid=" + strconv.Itoa(u.GID), "--init-groups", "--inh-caps=-all", "sh", "-c", script, "sh",
	}, argv...)
}

// Env is what Argv's environment must have.
func (u *User) Env() []string {
	return []string{"HOME=" + u.Home, "USER=" + u.Name, "XDG_RUNTIME_DIR=" + u.RuntimeDir, "DBUS_SESSION_BUS_ADDRESS=", "XDG_CONFIG_HOME=", "XDG_DATA_HOME="}
}

// Command is a command that the user runs, with only these groups besides its own.
func (u *User) Command(name string, args []string, groups ...int) *exec.Cmd {
	cmd := exec.Command(name, args...)
	cmd.Dir = "/"
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + u.Home, "USER=" + u.Name, "XDG_RUNTIME_DIR=" + u.RuntimeDir}
	credential := &syscall.Credential{Uid: uint32(u.UID), Gid: uint32(u.GID)}
	for _, g := range groups {
		credential.Groups = append(credential.Groups, uint32(g))
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: credential}
	return cmd
}

// grant is the first id that useradd gave to the user in /etc/subuid or /etc/subgid.
func grant(t *testing.T, file, name string) int {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.SplitSeq(string(b), "\n") {
		if f := strings.Split(line, ":"); len(f) == 3 && f[0] == name {
			return number(t, f[1])
		}
	}
	t.Fatalf("useradd gave %s nothing in %s", name, file)
	return 0
}

func number(t *testing.T, s string) int {
	t.Helper()
	n, err := strconv.Atoi(s)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// UnmountBelow takes away what a daemon left mounted below a directory, the deepest first.
func UnmountBelow(t *testing.T, dir string) {
	t.Helper()
	b, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(b), "\n")
	for i := len(lines) - 1; i >= 0; i-- {
		if f := strings.Fields(lines[i]); len(f) > 4 && strings.HasPrefix(f[4], dir+"/") {
			if err := unix.Unmount(f[4], unix.MNT_DETACH); err != nil {
				t.Errorf("unmount %s: %v", f[4], err)
			}
		}
	}
}
