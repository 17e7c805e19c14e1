package runner

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// IsStage reports whether the program was started by itself, as a stage of a running plan. args are os.Args.
func IsStage(args []string) bool {
	return len(args) > 1 && slices.Contains([]string{stageArg, initArg, holdArg, monitorArg}, args[1])
}

// Stage is main of a stage, and returns the exit status. Where all goes well the first stage does not return: it becomes
// the command.
func Stage(args []string) int {
	runtime.LockOSThread()
	switch args[1] {
	case holdArg:
		return hold(args[2:])
	case initArg:
		return initStage(args[2:])
	case monitorArg:
		return monitor(args[2:])
	}
	sock, file, ok := twoFDs(args[2:])
	if !ok {
		return notACommand()
	}
	// What is set per thread and per process (timens_offsets) must be the same thread here.
	if unix.Gettid() != unix.Getpid() {
		_ = syscall.Exec("/proc/self/exe", args, os.Environ())
		return StatusFailure
	}
	st := &stage{parent: channel{sock}}
	if err := readMemoryFile(file, &st.order); err != nil {
		return notACommand()
	}
	st.plan, st.file = st.order.Plan, file
	err := st.run()
	_ = st.parent.send(failed(err))
	return StatusFailure
}

// twoFDs reads the arguments of a stage: the socket and the file with its orders.
func twoFDs(args []string) (sock, file int, ok bool) {
	if len(args) != 2 {
		return 0, 0, false
	}
	sock, err1 := strconv.Atoi(args[0])
	file, err2 := strconv.Atoi(args[1])
	return sock, file, err1 == nil && err2 == nil && sock > 2 && file > 2
}

// notACommand is for who types the name of a stage.
func notACommand() int {
	fmt.Fprintln(os.Stderr, "nsview: this is a stage of nsview run, not a command")
	return StatusFailure
}

// stage is the process in the new namespaces, until it becomes the command.
type stage struct {
	order
	plan   *Plan
	parent channel
	file   int // of the order

	proc int // the directory /proc as it was at the start: it still works when no path leads there any more
	root int // the directory that will be the command's root
}

// run prepares everything and executes the command. It returns only what went wrong.
func (st *stage) run() error {
	if st.Hop {
		return st.hop()
	}
	for _, fd := range append([]int{st.parent.fd, st.file, st.Root, st.JoinMnt}, st.Trees...) {
		closeOnExec(fd)
	}
	if st.plan.Nsenter != "" {
		if err := st.parent.send(message{Kind: "hello"}); err != nil {
			return err
		}
	}
	if err := st.await("mapped"); err != nil {
		return err
	}
	for _, prepare := range []func() error{st.setClocks, st.joinMount, st.setHostname, st.openSources, st.becomeSetup, st.mounts, st.limit} {
		if err := prepare(); err != nil {
			return err
		}
	}
	if err := st.becomeFinal(); err != nil {
		return err
	}
	if err := st.changeDir(); err != nil {
		return err
	}
	if !st.plan.Spec.Detach {
		// After the last change of credentials, which would clear it. A parent that is gone by now is noticed below: the
		// socket has ended.
		if err := prctl(unix.PR_SET_PDEATHSIG, uintptr(unix.SIGKILL)); err != nil {
			return fmt.Errorf("prctl PR_SET_PDEATHSIG: %w", err)
		}
	}
	if st.plan.Spec.Init {
		return st.becomeInit()
	}
	path, err := lookCommand(st.plan.Spec.Command[0], st.Env)
	if err != nil {
		return err
	}
	st.defaultSignals()
	if err := st.parent.send(message{Kind: "ready"}); err != nil {
		return err
	}
	if err := st.await("go"); err != nil {
		return err
	}
	err = syscall.Exec(path, st.plan.Spec.Command, st.Env)
	return execError(path, err)
}

// defaultSignals takes back what the Go runtime does about the signals that nsview passes on. execve(2) would do so too,
// but nsview looks, already while it is under way, at what the command handles.
func (st *stage) defaultSignals() {
	terminal, others := forwarded()
	for _, sig := range append(terminal, others...) {
		if !signal.Ignored(sig) {
			swapAction(sig.(syscall.Signal), sigaction{})
		}
	}
}

// await waits for nsview to say kind. When nsview is gone, so is the reason to go on.
func (st *stage) await(kind string) error {
	m, _, err := st.parent.receive()
	switch {
	case errors.Is(err, io.EOF):
		os.Exit(StatusFailure) // nobody is left to tell
	case err != nil:
		return fmt.Errorf("wait for nsview: %w", err)
	case m.Kind != kind:
		return fmt.Errorf("nsview said %q, not %q", m.Kind, kind)
	}
	return nil
}

// hop starts the next stage as a sibling of this process, which nsenter(1) has put into the joined namespaces: a PID
// namespace that is joined is only the children's, and new namespaces are made with the fork.
func (st *stage) hop() error {
	next := st.order
	next.Hop = false
	file, err := memoryFile(next)
	if err != nil {
		return err
	}
	n, err := inheritable(int(file.Fd()))
	if err != nil {
		return err
	}
	closeOnExec(st.file)
	if st.JoinPID >= 0 {
		// It is this thread's next child that is in it.
		if err := unix.Setns(st.JoinPID, unix.CLONE_NEWPID); err != nil {
			return &Error{What: "--join-pid", Err: fmt.Errorf("setns: %w", err), Hint: "join its user namespace too, with --join-user", Status: StatusFailure}
		}
		closeOnExec(st.JoinPID)
	}
	_, err = syscall.ForkExec("/proc/self/exe", []string{os.Args[0], stageArg, strconv.Itoa(st.parent.fd), strconv.Itoa(n)}, &syscall.ProcAttr{
		Env:   os.Environ(),
		Files: []uintptr{0, 1, 2},
		Sys:   stageAttr(st.Clone | unix.CLONE_PARENT),
	})
	switch {
	case err == nil:
		os.Exit(0)
	case errors.Is(err, unix.ENOMEM) && st.JoinPID >= 0: // so says pid_namespaces(7)
		return &Error{What: "--join-pid", Err: fmt.Errorf("its init has ended, and nothing can be started in it any more: %w", err), Status: StatusFailure}
	}
	return cloneError(st.plan, err)
}

// stageAttr is how a stage is started: with every capability it may have as an ambient one, since in a user namespace
// whose map is not written yet execve(2) leaves no others.
func stageAttr(clone uintptr) *syscall.SysProcAttr {
	attr := &syscall.SysProcAttr{Cloneflags: clone}
	if clone&unix.CLONE_NEWUSER != 0 {
		for n := range lastCap() + 1 {
			attr.AmbientCaps = append(attr.AmbientCaps, uintptr(n))
		}
	}
	return attr
}

// lastCap is the highest capability that the kernel knows: about those beyond it answers EINVAL (PR_CAPBSET_READ in prctl(2)).
// The file cap_last_cap says the same, but each process that reads it with package os starts a poller for it.
func lastCap() int {
	n := 0
	for n < 63 && prctl(unix.PR_CAPBSET_READ, uintptr(n+1)) == nil {
		n++
	}
	return n
}

func (st *stage) joinMount() error {
	if st.JoinMnt < 0 {
		return nil
	}
	// The mount namespace of a task that shares its root and cwd with other threads cannot be changed: stop sharing.
	if err := unix.Unshare(unix.CLONE_FS); err != nil {
		return fmt.Errorf("unshare CLONE_FS: %w", err)
	}
	if err := unix.Setns(st.JoinMnt, unix.CLONE_NEWNS); err != nil {
		return &Error{What: "--join-mount", Err: fmt.Errorf("setns: %w", err), Hint: "join its user namespace too, with --join-user", Status: StatusFailure}
	}
	return nil
}

// setClocks makes the time namespace: its offsets can be set until the first process is in it, which this one becomes
// when it executes the command.
func (st *stage) setClocks() error {
	if !st.plan.Spec.has(Time) {
		return nil
	}
	if err := unix.Unshare(unix.CLONE_NEWTIME); err != nil {
		return &Error{What: "--time", Err: fmt.Errorf("unshare: %w", err), Hint: "Linux 5.6 has time namespaces", Status: StatusFailure}
	}
	var lines strings.Builder
	for _, o := range st.plan.Spec.TimeOffsets {
		lines.WriteString(o.offsetLine())
	}
	if lines.Len() == 0 {
		return nil
	}
	err := writeOnce("/proc/self/timens_offsets", lines.String())
	if errors.Is(err, unix.ERANGE) {
		return &Error{What: "--time-offset", Err: err, Hint: "no clock may end up below 0, or beyond half of what it can count", Status: StatusFailure}
	}
	return err
}

// writeOnce writes a file of procfs in one write(2), as it must be.
func writeOnce(path, text string) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Close())
}

func (st *stage) setHostname() error {
	if st.plan.Spec.Hostname == "" {
		return nil
	}
	if err := unix.Sethostname([]byte(st.plan.Spec.Hostname)); err != nil {
		return fmt.Errorf("sethostname: %w", err)
	}
	return nil
}

func (st *stage) changeDir() error {
	dir := st.plan.workdir()
	if dir == "" {
		return nil
	}
	if err := unix.Chdir(dir); err != nil {
		return &Error{What: "--workdir " + dir, Err: fmt.Errorf("chdir: %w", err), Status: StatusFailure}
	}
	return nil
}

// lookCommand finds the command as execvp(3) does, in the PATH that it will have.
func lookCommand(name string, env []string) (string, error) {
	if strings.Contains(name, "/") {
		return name, nil
	}
	path := "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
	for _, e := range env {
		if p, ok := strings.CutPrefix(e, "PATH="); ok {
			path = p
		}
	}
	denied := false
	for dir := range strings.SplitSeq(path, ":") {
		if dir == "" {
			dir = "."
		}
		file := dir + "/" + name
		var stat unix.Stat_t
		if unix.Stat(file, &stat) != nil || stat.Mode&unix.S_IFMT == unix.S_IFDIR {
			continue
		}
		if unix.Faccessat(unix.AT_FDCWD, file, unix.X_OK, unix.AT_EACCESS) == nil {
			return file, nil
		}
		denied = true
	}
	if denied {
		return "", &Error{What: name, Err: unix.EACCES, Status: StatusNotExecutable}
	}
	return "", &Error{What: name, Err: errors.New("command not found in PATH " + path), Status: StatusNotFound}
}

// execError is what execve(2) answered, with the exit status that a shell would give.
func execError(path string, err error) error {
	e := &Error{What: path, Err: fmt.Errorf("execute: %w", err), Status: StatusNotExecutable}
	var stat unix.Stat_t
	switch {
	case !errors.Is(err, unix.ENOENT) && !errors.Is(err, unix.ENOTDIR):
	case unix.Stat(path, &stat) != nil:
		e.Status = StatusNotFound
	default:
		e.Hint = "the file is there, its interpreter or loader is not"
	}
	return e
}
