package runner

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// initOrder is what the init is told.
type initOrder struct {
	Command []string
	Env     []string
	Dir     int // the directory to start the command in
}

// becomeInit executes this program once more, so that PID 1 has the command's credentials in every thread. The program
// is reached through the procfs that was there before the root changed.
func (st *stage) becomeInit() error {
	dir, err := unix.Open(".", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open the working directory: %w", err)
	}
	o := initOrder{Command: st.plan.Spec.Command, Env: st.Env}
	if o.Dir, err = inheritable(dir); err != nil {
		return err
	}
	file, err := memoryFile(o)
	if err != nil {
		return err
	}
	orderFD, err := inheritable(int(file.Fd()))
	if err != nil {
		return err
	}
	sock, err := inheritable(st.parent.fd)
	if err != nil {
		return err
	}
	if err := unix.Fchdir(st.proc); err != nil {
		return fmt.Errorf("fchdir to /proc: %w", err)
	}
	err = syscall.Exec("self/exe", []string{"nsview", initArg, strconv.Itoa(sock), strconv.Itoa(orderFD)}, []string{})
	hint := ""
	if errors.Is(err, unix.ENOENT) {
		hint = "nsview itself is the init, and the new root lacks the libraries of this one: build it with CGO_ENABLED=0"
	}
	return &Error{What: "--init", Err: fmt.Errorf("execute nsview: %w", err), Hint: hint, Status: StatusFailure}
}

// initStage is PID 1 of --init: it starts the command, passes signals on, reaps what is left to it, and ends with the
// command's status. Everything else in the PID namespace ends with it.
func initStage(args []string) int {
	sock, file, ok := twoFDs(args)
	if !ok {
		return notACommand()
	}
	var o initOrder
	if err := readMemoryFile(file, &o); err != nil {
		return notACommand()
	}
	for _, fd := range []int{sock, file, o.Dir} {
		closeOnExec(fd)
	}
	setComm("nsview-init")
	st := &stage{parent: channel{sock}, order: order{Env: o.Env}}
	f := newForwarder()
	pid, err := st.startCommand(o)
	if err != nil {
		_ = st.parent.send(failed(err))
		return StatusFailure
	}
	_ = unix.Close(file)
	_ = unix.Close(o.Dir)
	f.forwardTo(pid)
	if err := st.parent.send(message{Kind: "running"}); err != nil {
		return StatusFailure
	}
	for {
		var ws unix.WaitStatus
		got, err := unix.Wait4(-1, &ws, unix.WUNTRACED, nil)
		switch {
		case errors.Is(err, unix.EINTR):
		case err != nil:
			return StatusFailure
		case got != pid:
		case ws.Stopped():
			// PID 1 cannot stop itself, so that nsview could see it.
			_ = st.parent.send(message{Kind: "stopped"})
		case ws.Signaled():
			return 128 + int(ws.Signal())
		default:
			return ws.ExitStatus()
		}
	}
}

// setComm is the name that ps(1) shows, instead of "exe" of /proc/self/exe.
func setComm(name string) {
	_ = os.WriteFile("/proc/self/comm", []byte(name), 0) // the name of the process, whichever thread this is
	if b, err := unix.BytePtrFromString(name); err == nil {
		_ = prctl(unix.PR_SET_NAME, uintptr(unsafe.Pointer(b))) // where /proc does not have this process
	}
}

// startCommand says that the init is ready and starts the command when nsview says go.
func (st *stage) startCommand(o initOrder) (int, error) {
	if err := unix.Fchdir(o.Dir); err != nil {
		return 0, fmt.Errorf("fchdir: %w", err)
	}
	path, err := lookCommand(o.Command[0], o.Env)
	if err != nil {
		return 0, err
	}
	if err := st.parent.send(message{Kind: "ready"}); err != nil {
		return 0, err
	}
	if err := st.await("go"); err != nil {
		return 0, err
	}
	pid, err := syscall.ForkExec(path, o.Command, &syscall.ProcAttr{Env: o.Env, Files: []uintptr{0, 1, 2}})
	if err != nil {
		return 0, execError(path, err)
	}
	signal.Ignore(unix.SIGTTOU) // the command may give the terminal away
	return pid, nil
}
