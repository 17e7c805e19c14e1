package runner

import (
	"errors"
	"fmt"
	"io"
	"reflect"
	"syscall"

	"golang.org/x/sys/unix"
)

// The stages of the program that executes itself, chosen by its first argument. They are not meant to be typed: they
// find nothing on the file descriptors that they are given.
const (
	stageArg = "nsview-stage" // prepares the namespaces and becomes the command
	initArg  = "nsview-init"  // PID 1 of --init
	holdArg  = "nsview-hold"  // holds a user namespace until its stdin ends

	monitorArg = "nsview-monitor" // starts a detached command and waits for it
)

// order is what nsview tells the stage, in a memory file: neither argv, which ps shows, nor the environment.
type order struct {
	Plan *Plan
	Env  []string

	Trees   []int // a detached mount for each of Plan.Spec.Mounts, -1 where the stage opens the source itself
	Root    int   // the same for Plan.Spec.Root
	JoinMnt int   // a mount namespace to join, or -1
	JoinPID int   // a PID namespace to join, or -1
	Hop     bool  // fork once more, as a sibling: this process is in the joined namespaces, the command will be its sibling
	Clone   uintptr
}

// message is one datagram between nsview and the stage.
type message struct {
	Kind string // hello, mapped, ready, go, started, failed

	Started *started

	// failed
	What   string
	Text   string
	Errno  syscall.Errno
	Hint   string
	Status int
}

// channel is one end of a socket pair that keeps datagrams apart.
type channel struct{ fd int }

// maxMessage bounds a datagram; the longest has the report of a detached command, with two maps of 340 extents.
const maxMessage = 128 << 10

func newChannel() (ours, theirs channel, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return channel{-1}, channel{-1}, fmt.Errorf("socketpair: %w", err)
	}
	// The kernel then says by which PID, as this process numbers it, a message was sent.
	if err := unix.SetsockoptInt(fds[0], unix.SOL_SOCKET, unix.SO_PASSCRED, 1); err != nil {
		return channel{-1}, channel{-1}, fmt.Errorf("setsockopt SO_PASSCRED: %w", err)
	}
	return channel{fds[0]}, channel{fds[1]}, nil
}

func (c channel) close() { _ = unix.Close(c.fd) }

func (c channel) send(m message) error {
	b := appendValue(nil, reflect.ValueOf(m))
	return retried(func() error { return unix.Sendmsg(c.fd, b, nil, nil, unix.MSG_NOSIGNAL) })
}

// retried makes a system call until no signal interrupts it. That the other end was closed before it had read everything is
// told once, before what it had to say itself (sk_err in net/unix/af_unix.c), and is not asked here.
func retried(call func() error) error {
	for {
		if err := call(); !errors.Is(err, unix.EINTR) && !errors.Is(err, unix.ECONNRESET) {
			return err
		}
	}
}

// receive waits for a message. io.EOF: the other end is closed. pid is the sender's where the channel asks for it.
func (c channel) receive() (m message, pid int, err error) {
	// Its length first: nearly all are of some bytes, and the pages of a buffer for the longest would all be zeroed.
	size, err := c.nextSize()
	buf, oob := make([]byte, max(0, min(size, maxMessage))), make([]byte, 256)
	var n, oobn int
	if err == nil {
		err = retried(func() (err error) {
			n, oobn, _, _, err = unix.Recvmsg(c.fd, buf, oob, unix.MSG_CMSG_CLOEXEC)
			return err
		})
	}
	if err != nil {
		return message{}, 0, err
	}
	if n == 0 {
		return message{}, 0, io.EOF
	}
	if controls, err := unix.ParseSocketControlMessage(oob[:oobn]); err == nil {
		for i := range controls {
			if cred, err := unix.ParseUnixCredentials(&controls[i]); err == nil {
				pid = int(cred.Pid)
			}
		}
	}
	if err := readValue(buf[:n], &m); err != nil {
		return message{}, 0, fmt.Errorf("message from the stage: %w", err)
	}
	return m, pid, nil
}

// nextSize waits for a message and is how long it is, 0 when the other end is closed.
func (c channel) nextSize() (size int, err error) {
	err = retried(func() (err error) {
		size, _, err = unix.Recvfrom(c.fd, nil, unix.MSG_PEEK|unix.MSG_TRUNC)
		return err
	})
	return size, err
}

// failure is a failed message as the error that the stage had.
func (m message) failure() error {
	e := &Error{What: m.What, Err: errors.New(m.Text), Hint: m.Hint, Status: m.Status}
	if m.Errno != 0 {
		e.Err = fmt.Errorf("%s%w", m.Text, m.Errno)
	}
	return e
}

// failed is err as a message.
func failed(err error) message {
	m := message{Kind: "failed", Text: err.Error(), Status: StatusFailure}
	var e *Error
	if errors.As(err, &e) {
		m.What, m.Hint, m.Text = e.What, e.Hint, e.Err.Error()
		if e.Status != 0 {
			m.Status = e.Status
		}
		err = e.Err
	}
	if len(m.Text) > 4096 {
		m.Text = m.Text[:4096]
	}
	// The errno travels as a number, so that the caller can still ask errors.Is.
	if errno, ok := errors.AsType[syscall.Errno](err); ok {
		if text, found := cutSuffix(m.Text, errno.Error()); found {
			m.Text, m.Errno = text, errno
		}
	}
	return m
}

func cutSuffix(s, suffix string) (string, bool) {
	if len(s) >= len(suffix) && s[len(s)-len(suffix):] == suffix {
		return s[:len(s)-len(suffix)], true
	}
	return s, false
}

// inheritable is a copy of fd that a child keeps across exec, at a number the caller has not used: what the user's shell
// opened for the command stays where it is.
func inheritable(fd int) (int, error) {
	n, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD, 3)
	if err != nil {
		return -1, fmt.Errorf("fcntl F_DUPFD: %w", err)
	}
	return n, nil
}

func closeOnExec(fd int) {
	if fd >= 0 {
		unix.CloseOnExec(fd)
	}
}
