package pathwalk

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/nsview/nsview/idmap"
	"github.com/nsview/nsview/nsinspect"
	"github.com/nsview/nsview/nsinspect/access"
	"github.com/nsview/nsview/procscan"
	"golang.org/x/sys/unix"
)

// A stand-in is this program run again with the ids of a target, without capabilities. It looks where the kernel lets nobody
// but those ids look, not even root: in a FUSE file system without allow_other, and in a directory of an idmapped mount that
// has an owner whom the mount does not map, over which no capability counts. It is handed one directory and looks below
// that, and what it says is believed no more than the target's own word: it decides nothing but the target's own access.

// standInWord is what the program is started with to be one.
const standInWord = "nsview-stand-in"

// IsStandIn reports whether a program started with these arguments is a stand-in: then main is to call [StandIn] and end.
func IsStandIn(args []string) bool { return len(args) == 1 && args[0] == standInWord }

// awayRequest asks for a name in a directory that the stand-in has open; "" is the directory itself.
type awayRequest struct {
	Dir  int
	Name string
	Bit  int  // how statx(2) is to tell the mount
	Last bool // what operations on it need as well
	Hand bool // only open it, and hand it over on descriptor 4
}

// away is what a stand-in saw.
type away struct {
	Errno     syscall.Errno // of opening it or of statx(2); what follows is not told then
	Dir       int           // what the stand-in calls it
	Stat      unix.Statx_t
	Link      string
	ACL, ACL2 awayXattr // access and default
	Xattrs    []string
	Empty     access.Fact
}

type awayXattr struct {
	Errno syscall.Errno
	Value []byte
}

// StandIn answers requests on standard input until it ends. Descriptor 3 is the directory, number 0.
func StandIn() {
	_ = unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0)
	in, out := json.NewDecoder(os.Stdin), json.NewEncoder(os.Stdout)
	dirs := []int{3}
	for {
		var q awayRequest
		if in.Decode(&q) != nil || q.Dir < 0 || q.Dir >= len(dirs) {
			return
		}
		fd, a := dirs[q.Dir], away{Dir: q.Dir}
		var err error
		if q.Hand {
			errors.As(handOver(fd, q.Name), &a.Errno)
			if out.Encode(a) != nil {
				return
			}
			continue
		}
		if q.Name != "" {
			if fd, err = unix.Openat(fd, q.Name, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0); err == nil {
				a.Dir = len(dirs)
				dirs = append(dirs, fd)
			}
		}
		if err == nil {
			err = unix.Statx(fd, "", unix.AT_EMPTY_PATH|unix.AT_SYMLINK_NOFOLLOW|unix.AT_NO_AUTOMOUNT, unix.STATX_BASIC_STATS|q.Bit, &a.Stat)
		}
		if !errors.As(err, &a.Errno) {
			a.look(fd, q.Last)
		}
		if out.Encode(a) != nil {
			return
		}
	}
}

// handOver opens a name in a directory, as far as O_PATH does, and sends it away.
func handOver(dir int, name string) error {
	fd, err := unix.Openat(dir, name, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return unix.Sendmsg(4, []byte{0}, unix.UnixRights(fd), nil, 0)
}

func (a *away) look(fd int, last bool) {
	self, buf := selfFD(fd), make([]byte, maxPath)
	get := func(name string) (x awayXattr) {
		value := make([]byte, maxXattr)
		k, err := unix.Getxattr(self, name, value)
		if !errors.As(err, &x.Errno) {
			x.Value = value[:k]
		}
		return x
	}
	if a.Stat.Mode&unix.S_IFMT == unix.S_IFLNK {
		k, _ := unix.Readlinkat(fd, "", buf)
		a.Link = string(buf[:max(k, 0)])
		return
	}
	a.ACL = get("system.posix_acl_access")
	if !last {
		return
	}
	a.Xattrs, _ = xattrs(self)
	if a.Stat.Mode&unix.S_IFMT == unix.S_IFDIR {
		a.ACL2 = get("system.posix_acl_default")
		a.Empty = emptyDir(self)
	}
}

// standIn is a running one.
type standIn struct {
	cmd   *exec.Cmd
	in    io.WriteCloser
	out   *os.File
	dec   *json.Decoder
	hands *os.File // where files are handed over
}

var errManyIDs = errors.New("the target's real, effective and saved ids differ, so nobody can stand in for it")

// sameIDs are the ids of a process that has one of each kind, which a FUSE file system asks for.
func sameIDs(cred *nsinspect.Credentials) (*syscall.Credential, error) {
	u, g := cred.UID, cred.GID
	if u.Real != u.Effective || u.Real != u.Saved || u.Real != u.FS || g.Real != g.Effective || g.Real != g.Saved || g.Real != g.FS {
		return nil, errManyIDs
	}
	return idsOf(u.FS, g.FS, cred.Groups)
}

func idsOf(uid, gid idmap.Kernel, groups []idmap.Kernel) (*syscall.Credential, error) {
	if !uid.Mapped() || !gid.Mapped() {
		return nil, errors.New("the target's ids are not mapped for the observer")
	}
	ids := &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	for _, id := range groups {
		ids.Groups = append(ids.Groups, uint32(id))
	}
	return ids, nil
}

// startStandIn starts a stand-in with the ids of a process, below an open directory.
func startStandIn(ids *syscall.Credential, dir int) (*standIn, error) {
	fd, err := unix.FcntlInt(uintptr(dir), unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		return nil, err
	}
	below := os.NewFile(uintptr(fd), "directory")
	defer below.Close()
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	theirs := os.NewFile(uintptr(pair[1]), "hands")
	defer theirs.Close()
	s := &standIn{
		cmd:   &exec.Cmd{Path: "/proc/self/exe", Args: []string{standInWord}, Env: []string{}, Dir: "/", ExtraFiles: []*os.File{below, theirs}},
		hands: os.NewFile(uintptr(pair[0]), "hands"),
	}
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Credential: ids}
	if err := s.start(); err != nil {
		s.hands.Close()
		return nil, err
	}
	return s, nil
}

func (s *standIn) start() (err error) {
	if s.in, err = s.cmd.StdinPipe(); err != nil {
		return err
	}
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := s.cmd.Start(); err != nil {
		return fmt.Errorf("run nsview with the ids of the target: %w", err)
	}
	s.out, _ = out.(*os.File)
	s.dec = json.NewDecoder(io.LimitReader(out, 64<<20))
	return nil
}

func (s *standIn) close() {
	s.in.Close()
	s.hands.Close()
	_ = s.cmd.Process.Kill()
	_ = s.out.Close()
	go func() { _ = s.cmd.Wait() }() // it may be stuck in the file system
}

// ask asks a stand-in.
func (s *standIn) ask(q awayRequest) (away, error) {
	var a away
	if err := s.out.SetReadDeadline(time.Now().Add(deadline * 3 / 4)); err != nil {
		return a, err
	}
	if err := json.NewEncoder(s.in).Encode(q); err != nil {
		return a, err
	}
	err := s.dec.Decode(&a)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		err = procscan.ErrNoAnswer
	}
	if err == nil && (strings.Contains(q.Name, "/") || a.Dir < 0 || slices.Contains([]byte(a.Link), 0)) {
		err = errors.New("the stand-in makes no sense")
	}
	if err == nil && a.Errno != 0 {
		err = a.Errno
	}
	return a, err
}

// open has it open a name in its directory.
func (s *standIn) open(name string) (int, error) {
	if _, err := s.ask(awayRequest{Name: name, Hand: true}); err != nil {
		return -1, err
	}
	rights := make([]byte, unix.CmsgSpace(4))
	_, n, _, _, err := unix.Recvmsg(int(s.hands.Fd()), make([]byte, 1), rights, unix.MSG_CMSG_CLOEXEC|unix.MSG_DONTWAIT)
	if err != nil {
		return -1, err
	}
	messages, err := unix.ParseSocketControlMessage(rights[:n])
	if err != nil || len(messages) != 1 {
		return -1, errors.New("the stand-in handed nothing over")
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil || len(fds) != 1 {
		return -1, errors.New("the stand-in handed nothing over")
	}
	return fds[0], nil
}
