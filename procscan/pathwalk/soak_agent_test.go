package pathwalk

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/nsview/nsview/nsinspect/access"
	"golang.org/x/sys/unix"
)

// agentVariable makes the test binary an agent: a process with credentials of its own that does what it is asked.
const agentVariable = "NSVIEW_TEST_AGENT"

// init keeps an agent on the main thread, which has the credentials that /proc/PID/status shows. Only here is the main
// goroutine certain to be on it.
func init() {
	if os.Getenv(agentVariable) != "" {
		runtime.LockOSThread()
	}
}

func TestMain(m *testing.M) {
	if IsStandIn(os.Args) {
		StandIn()
		return
	}
	if setting := os.Getenv(agentVariable); setting != "" {
		agentMain(setting)
		return
	}
	os.Exit(m.Run())
}

// request is one operation for an agent, or one step towards the place from which it performs operations.
type request struct {
	Op   access.Operation
	Path string

	Stage  string   `json:",omitempty"` // make this directory the root of a mount namespace
	Build  *act     `json:",omitempty"`
	IDs    int      `json:",omitempty"` // of a build: a process in the user namespace whose maps a mount gets
	Spawn  *spawn   `json:",omitempty"`
	Become *subject `json:",omitempty"`
}

// agentMain does what it is asked until there is nobody to ask. The setting is "1" for an agent that is asked on its
// standard input, else the abstract socket to connect to and the name to give there.
func agentMain(setting string) {
	unix.Umask(0o022)
	in, out := os.Stdin, os.Stdout
	if address, name, ok := strings.Cut(setting, " "); ok {
		fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err == nil {
			err = unix.Connect(fd, &unix.SockaddrUnix{Name: address})
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, "agent", setting, err)
			os.Exit(1)
		}
		in = os.NewFile(uintptr(fd), "socket")
		out = in
		fmt.Fprintln(out, name, os.Getpid())
	}
	decoder := json.NewDecoder(bufio.NewReader(in))
	for {
		var q request
		if decoder.Decode(&q) != nil {
			break
		}
		name := ""
		if err := q.do(); err != nil {
			name = fmt.Sprint(err)
			if errno, ok := err.(syscall.Errno); ok {
				if name = unix.ErrnoName(errno); errno == unix.EOPNOTSUPP {
					name = "EOPNOTSUPP" // the number has two names
				}
			}
		}
		fmt.Fprintln(out, name+".")
	}
	for { // leave no zombies of the agents that it started
		if _, err := unix.Wait4(-1, nil, 0, nil); err != nil && err != unix.EINTR {
			return
		}
	}
}

func (q *request) do() error {
	switch {
	case q.Stage != "":
		return enterStage(q.Stage)
	case q.Build != nil:
		return q.Build.build(q.IDs)
	case q.Spawn != nil:
		return q.Spawn.start()
	case q.Become != nil:
		return q.Become.become()
	}
	return perform(*q)
}

func openClose(path string, flags int) error {
	fd, err := unix.Open(path, flags|unix.O_NONBLOCK|unix.O_NOCTTY|unix.O_CLOEXEC, 0o666)
	if err == nil {
		return unix.Close(fd)
	}
	var st unix.Stat_t
	if err == unix.ENXIO && unix.Stat(path, &st) == nil && st.Mode&unix.S_IFMT == unix.S_IFIFO {
		return nil
	}
	return err
}

// minimalACL is a valid ACL of rw-r--r-- (struct posix_acl_xattr_header in include/uapi/linux/posix_acl_xattr.h).
var minimalACL = []byte{2, 0, 0, 0, 1, 0, 6, 0, 255, 255, 255, 255, 4, 0, 4, 0, 255, 255, 255, 255, 32, 0, 4, 0, 255, 255, 255, 255}

// perform makes the system call that an operation is defined by.
func perform(q request) error {
	p, op := q.Path, q.Op
	var st unix.Stat_t
	switch op.Op {
	case access.OpLookup:
		return unix.Stat(p, &st)
	case access.OpLstat:
		return unix.Lstat(p, &st)
	case access.OpChdir:
		return chdir(p)
	case access.OpRead:
		return openClose(p, unix.O_RDONLY)
	case access.OpWrite:
		return openClose(p, unix.O_WRONLY)
	case access.OpRdwr:
		return openClose(p, unix.O_RDWR)
	case access.OpAppend:
		return openClose(p, unix.O_WRONLY|unix.O_APPEND)
	case access.OpOpentrunc:
		return openClose(p, unix.O_WRONLY|unix.O_TRUNC)
	case access.OpNoatime:
		return openClose(p, unix.O_RDONLY|unix.O_NOATIME)
	case access.OpCreate:
		return openClose(p, unix.O_CREAT|unix.O_EXCL|unix.O_WRONLY)
	case access.OpOpencreat:
		return openClose(p, unix.O_CREAT|unix.O_WRONLY)
	case access.OpMkdir:
		return unix.Mkdir(p, 0o777)
	case access.OpMkfifo:
		return unix.Mkfifo(p, 0o666)
	case access.OpMknod:
		return unix.Mknod(p, unix.S_IFCHR|0o666, int(unix.Mkdev(1, 3)))
	case access.OpWhiteout:
		return unix.Mknod(p, unix.S_IFCHR|0o666, 0)
	case access.OpSymlink:
		return unix.Symlink("text", p)
	case access.OpUnlink:
		return unix.Unlink(p)
	case access.OpRmdir:
		return unix.Rmdir(p)
	case access.OpRename:
		return unix.Renameat2(unix.AT_FDCWD, p, unix.AT_FDCWD, op.New, 0)
	case access.OpNoreplace:
		return unix.Renameat2(unix.AT_FDCWD, p, unix.AT_FDCWD, op.New, unix.RENAME_NOREPLACE)
	case access.OpExchange:
		return unix.Renameat2(unix.AT_FDCWD, p, unix.AT_FDCWD, op.New, unix.RENAME_EXCHANGE)
	case access.OpLink:
		return unix.Linkat(unix.AT_FDCWD, p, unix.AT_FDCWD, op.New, 0)
	case access.OpTruncate:
		return unix.Truncate(p, 0)
	case access.OpChmod:
		return unix.Chmod(p, op.Mode)
	case access.OpChown:
		return unix.Fchownat(unix.AT_FDCWD, p, int(int32(op.UID)), int(int32(op.GID)), 0)
	case access.OpLchown:
		return unix.Lchown(p, int(int32(op.UID)), int(int32(op.GID)))
	case access.OpTouch:
		now := unix.Timespec{Nsec: unix.UTIME_NOW}
		return unix.UtimesNanoAt(unix.AT_FDCWD, p, []unix.Timespec{now, now}, 0)
	case access.OpUtimes:
		then := unix.Timespec{Sec: 1e9}
		return unix.UtimesNanoAt(unix.AT_FDCWD, p, []unix.Timespec{then, then}, 0)
	case access.OpSetxattr:
		return unix.Setxattr(p, op.Name, xattrValue(op.Name), 0)
	case access.OpGetxattr:
		_, err := unix.Getxattr(p, op.Name, make([]byte, 1<<16))
		return err
	case access.OpGetACL:
		_, err := unix.Getxattr(p, "system.posix_acl_access", make([]byte, 1024))
		return err
	case access.OpReadlink:
		_, err := unix.Readlink(p, make([]byte, 4096))
		return err
	case access.OpAccess:
		return unix.Faccessat2(unix.AT_FDCWD, p, op.Mode, 0)
	case access.OpEaccess:
		return unix.Faccessat2(unix.AT_FDCWD, p, op.Mode, unix.AT_EACCESS)
	case access.OpConnect:
		return connect(p)
	case access.OpExec:
		pid, err := syscall.ForkExec(p, []string{p}, &syscall.ProcAttr{})
		if err == nil {
			_, err = unix.Wait4(pid, nil, 0, nil)
		}
		return err
	}
	return unix.ENOSYS
}

// xattrValue is a value that makes sense for an attribute.
func xattrValue(name string) []byte {
	if name == "security.capability" {
		return (&fileCapsSpec{Permitted: 1 << unix.CAP_NET_RAW, Root: -1}).value()
	}
	if strings.HasPrefix(name, "system.posix_acl_") {
		return minimalACL
	}
	return []byte("v")
}

// chdir has a child change its directory, since not everybody could come back. The child then fails to execute a name that
// is too long.
func chdir(path string) error {
	_, err := syscall.ForkExec(strings.Repeat("x", 2*maxPath), []string{""}, &syscall.ProcAttr{Dir: path})
	if err == unix.ENAMETOOLONG {
		return nil
	}
	return err
}

// connect connects to a socket on which, in these tests, nobody listens. That counts as allowed.
func connect(path string) error {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	err = unix.Connect(fd, &unix.SockaddrUnix{Name: path})
	var st unix.Stat_t
	if err == unix.ECONNREFUSED && unix.Stat(path, &st) == nil && st.Mode&unix.S_IFMT == unix.S_IFSOCK {
		return nil
	}
	return err
}

// agent is a running one.
type agent struct {
	name string
	cmd  *exec.Cmd
	in   *json.Encoder
	out  *bufio.Reader
}

func startAgent(t *testing.T, name string, attr *syscall.SysProcAttr, words ...string) *agent {
	t.Helper()
	a := &agent{name: name, cmd: exec.Command(words[0], words[1:]...)}
	a.cmd.Dir = "/"
	a.cmd.SysProcAttr = attr
	a.cmd.Env = append(os.Environ(), agentVariable+"=1")
	a.cmd.Stderr = os.Stderr
	in, err := a.cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := a.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := a.cmd.Start(); err != nil {
		t.Fatalf("agent %s: %v", name, err)
	}
	t.Cleanup(func() {
		in.Close()
		_ = a.cmd.Process.Kill()
		_ = a.cmd.Wait()
	})
	a.in, a.out = json.NewEncoder(in), bufio.NewReader(out)
	if got := a.do(t, request{Op: access.Operation{Op: access.OpLookup}, Path: "/"}); got != "" {
		t.Fatalf("agent %s: stat of / says %s", name, got)
	}
	return a
}

// do has the agent perform an operation: the errno's name, "" for success.
func (a *agent) do(t *testing.T, q request) string {
	t.Helper()
	if err := a.in.Encode(q); err != nil {
		t.Fatalf("agent %s: %v", a.name, err)
	}
	line, err := a.out.ReadString('\n')
	if err != nil {
		t.Fatalf("agent %s: %v", a.name, err)
	}
	return line[:len(line)-2]
}
