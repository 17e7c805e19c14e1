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

func TestMain(m *testing.M) {
	if os.Getenv(agentVariable) != "" {
		runtime.LockOSThread()
		agentMain()
		return
	}
	os.Exit(m.Run())
}

// request is one operation for an agent.
type request struct {
	Op   access.Operation
	Path string
}

// agentMain performs operations on the main thread, which has the credentials that /proc/PID/status shows.
func agentMain() {
	unix.Umask(0o022)
	in := json.NewDecoder(bufio.NewReader(os.Stdin))
	for {
		var q request
		if in.Decode(&q) != nil {
			return
		}
		name := ""
		if err := perform(q); err != nil {
			name = fmt.Sprint(err)
			if errno, ok := err.(syscall.Errno); ok {
				if name = unix.ErrnoName(errno); name == "ENOTSUP" {
					name = "EOPNOTSUPP"
				}
			}
		}
		fmt.Println(name + ".")
	}
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
		was, err := unix.Open(".", unix.O_PATH|unix.O_CLOEXEC, 0)
		if err != nil {
			return err
		}
		defer unix.Close(was)
		if err := unix.Chdir(p); err != nil {
			return err
		}
		return unix.Fchdir(was)
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
		value := []byte("v")
		if strings.HasPrefix(op.Name, "system.posix_acl_") {
			value = minimalACL
		}
		return unix.Setxattr(p, op.Name, value, 0)
	case access.OpGetxattr:
		_, err := unix.Getxattr(p, op.Name, make([]byte, 64))
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
	case access.OpExec:
		pid, err := syscall.ForkExec(p, []string{p}, &syscall.ProcAttr{})
		if err == nil {
			_, err = unix.Wait4(pid, nil, 0, nil)
		}
		return err
	}
	return unix.ENOSYS
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
