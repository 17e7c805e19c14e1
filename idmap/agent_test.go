package idmap

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/nsview/nsview/procscan/proctest"
)

// The kernel is the oracle of this package. What it is asked must often be asked by another process: one with other
// ids, with few capabilities, inside a user namespace. An agent is this test binary started as such a process; it does
// what it is told over a pipe.

const agentVariable = "NSVIEW_IDMAP_TEST_AGENT"

func TestMain(m *testing.M) {
	if os.Getenv(agentVariable) != "" {
		serve(os.Stdin, os.Stdout)
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// An order is one thing to do. The fields that an operation does not name are not used by it.
type order struct {
	Op   string // see worker.do
	UID  int    // spawn: the ids of the process; -1 keeps
	GID  int
	PID  int       // end: which process
	Path string    // write, mount (the target)
	Text string    // write
	Argv []string  // run
	Caps []uintptr // inside: capabilities to keep in the new user namespace
	// mount
	Source, FSType string
	Flags          uintptr
	IDMapFrom      string // mount: clone Source idmapped by this user namespace's file
	// make: files of these names in the directory Path; chown: give them these ids; stat: look at them
	IDs []uint32
}

type answer struct {
	Errno  string // "" when it worked
	PID    int    // spawn
	Exit   int    // run
	Output string
	Owners []owner
}

// owner is what stat(2) or chown(2) said of one file.
type owner struct {
	UID, GID uint32
	Errno    string
}

func serve(in io.Reader, out io.Writer) {
	a := &worker{children: make(map[int]*target)}
	defer a.endAll()
	dec, enc := json.NewDecoder(in), json.NewEncoder(out)
	for {
		var o order
		if dec.Decode(&o) != nil {
			return
		}
		if enc.Encode(a.do(o)) != nil {
			return
		}
	}
}

// worker carries orders out, in the test process or in an agent.
type worker struct{ children map[int]*target }

// target is a process in a new user namespace. It waits for its stdin to end.
type target struct {
	cmd   *exec.Cmd
	stdin io.Closer
}

func (w *worker) do(o order) answer {
	switch o.Op {
	case "spawn":
		return w.spawn(o)
	case "end":
		w.end(o.PID)
		return answer{}
	case "write":
		return answer{Errno: errnoName(writeOnce(o.Path, o.Text))}
	case "read":
		text, err := os.ReadFile(o.Path)
		return answer{Errno: errnoName(err), Output: string(text)}
	case "inside":
		return inside(o)
	case "run":
		cmd := exec.Command(o.Argv[0], o.Argv[1:]...)
		out, err := cmd.CombinedOutput()
		var exit *exec.ExitError
		if err != nil && !errors.As(err, &exit) {
			return answer{Exit: -1, Output: err.Error()}
		}
		return answer{Exit: cmd.ProcessState.ExitCode(), Output: string(out)}
	case "mount":
		if o.IDMapFrom != "" {
			return answer{Errno: errnoName(mountIDMapped(o.Source, o.Path, o.IDMapFrom))}
		}
		return answer{Errno: errnoName(unix.Mount(o.Source, o.Path, o.FSType, o.Flags, ""))}
	case "make":
		return answer{Errno: errnoName(makeFiles(o.Path, o.IDs))}
	case "chown":
		return answer{Owners: chownFiles(o.Path, o.IDs)}
	case "stat":
		return answer{Owners: statFiles(o.Path, o.IDs)}
	case "chown one":
		return answer{Errno: errnoName(os.Lchown(o.Path, int(o.IDs[0]), int(o.IDs[0])))}
	case "stat one":
		return statOne(o.Path)
	}
	return answer{Errno: "unknown operation " + o.Op}
}

func (w *worker) spawn(o order) answer {
	cmd := exec.Command("/bin/cat")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWUSER, Pdeathsig: syscall.SIGKILL}
	if o.UID >= 0 {
		// The user makes the namespace: it must be that user before clone(2) sees CLONE_NEWUSER.
		cmd = exec.Command("setpriv", fmt.Sprintf("--reuid=%d", o.UID), fmt.Sprintf("--regid=%d", o.GID), "--clear-groups",
			"unshare", "--user", "cat")
	}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return answer{Errno: err.Error()}
	}
	if o.UID >= 0 {
		return w.spawnReady(cmd, stdin)
	}
	if err := cmd.Start(); err != nil {
		return answer{Errno: errnoName(err)}
	}
	w.children[cmd.Process.Pid] = &target{cmd, stdin}
	return answer{PID: cmd.Process.Pid}
}

// spawnReady starts a command that gets into its user namespace by and by: cat answers when it is there.
func (w *worker) spawnReady(cmd *exec.Cmd, stdin io.WriteCloser) answer {
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return answer{Errno: err.Error()}
	}
	if err := cmd.Start(); err != nil {
		return answer{Errno: errnoName(err)}
	}
	w.children[cmd.Process.Pid] = &target{cmd, stdin}
	if _, err := io.WriteString(stdin, "?"); err != nil {
		return answer{Errno: err.Error()}
	}
	if _, err := io.ReadFull(stdout, make([]byte, 1)); err != nil {
		return answer{Errno: err.Error()}
	}
	return answer{PID: cmd.Process.Pid}
}

func (w *worker) end(pid int) {
	if t := w.children[pid]; t != nil {
		t.stdin.Close()
		t.cmd.Wait()
		delete(w.children, pid)
	}
}

func (w *worker) endAll() {
	for pid := range w.children {
		w.end(pid)
	}
}

// inside writes from inside a new user namespace that this process makes: Output is the errno.
func inside(o order) answer {
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), agentVariable+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWUSER, AmbientCaps: o.Caps}
	o.Op = "write"
	text, err := json.Marshal(o)
	if err != nil {
		return answer{Errno: err.Error()}
	}
	cmd.Stdin = bytes.NewReader(text)
	out, err := cmd.Output()
	if err != nil {
		return answer{Errno: err.Error()}
	}
	var reply answer
	if err := json.Unmarshal(out, &reply); err != nil {
		return answer{Errno: err.Error()}
	}
	return answer{Output: reply.Errno}
}

// writeOnce hands text to one write(2), as the kernel wants a map.
func writeOnce(path, text string) error {
	fd, err := unix.Open(path, unix.O_WRONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open: %w", err)
	}
	defer unix.Close(fd)
	_, err = unix.Write(fd, []byte(text))
	return err
}

func errnoName(err error) string {
	var errno syscall.Errno
	switch {
	case err == nil:
		return ""
	case strings.HasPrefix(err.Error(), "open: "):
		return err.Error()
	case errors.As(err, &errno):
		return unix.ErrnoName(errno)
	}
	return err.Error()
}

// agent is a worker in another process.
type agent struct {
	pid int
	enc *json.Encoder
	dec *json.Decoder
}

// startAgent starts this test binary with attr. It ends with the test.
func startAgent(t testing.TB, attr *syscall.SysProcAttr) *agent {
	t.Helper()
	// Not os.Args[0]: another user may not search the directory that go test builds in.
	return startAgentBy(t, attr, "/proc/self/exe")
}

// startAgentBy starts this test binary through a command that becomes it.
func startAgentBy(t testing.TB, attr *syscall.SysProcAttr, argv ...string) *agent {
	t.Helper()
	if len(argv) > 1 {
		self, err := os.Executable()
		if err != nil {
			t.Fatal(err)
		}
		argv = append(argv, self)
	}
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Env = append(os.Environ(), agentVariable+"=1")
	cmd.Dir = "/"
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = attr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatalf("start agent: %v", err)
	}
	t.Cleanup(func() {
		stdin.Close()
		cmd.Wait()
	})
	return &agent{cmd.Process.Pid, json.NewEncoder(stdin), json.NewDecoder(stdout)}
}

func (a *agent) do(t testing.TB, o order) answer {
	t.Helper()
	var reply answer
	if err := a.enc.Encode(o); err != nil {
		t.Fatalf("agent: %v", err)
	}
	if err := a.dec.Decode(&reply); err != nil {
		t.Fatalf("agent: %s: %v", o.Op, err)
	}
	return reply
}

// must is do for what has to work.
func (a *agent) must(t testing.TB, o order) answer {
	t.Helper()
	reply := a.do(t, o)
	if reply.Errno != "" {
		t.Fatalf("%s %s: %s", o.Op, o.Path, reply.Errno)
	}
	return reply
}

// needUserNS asks for user namespaces that this process may make.
func needUserNS(t testing.TB) {
	t.Helper()
	cmd := exec.Command("/bin/true")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWUSER}
	err := cmd.Run()
	proctest.Need(t, "userns", err == nil, fmt.Sprintf("clone(CLONE_NEWUSER): %v", err))
}
