package runner

import (
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/nsview/nsview/idmap"
)

// Container is a started command.
type Container struct {
	Plan      *Plan
	PID       int    // of the command, or of its init, as this process numbers it
	StartTime uint64 // clock ticks after boot: with PID it names the process for good
	Pins      Pins
	Report    *Report // with Spec.Report

	state  *stateFile
	signal *forwarder
	status int
	ended  bool
}

// Start carries the plan out, and returns once the command has been executed. When it fails nothing is left behind.
//
// The goroutine is locked to its thread for good, because the command dies with the thread that started it (unless
// Spec.Detach); Wait is to be called from the same goroutine.
func (p *Plan) Start() (*Container, error) {
	runtime.LockOSThread()
	r := &start{plan: p, container: &Container{Plan: p}, parent: channel{-1}}
	defer r.closeFiles()
	if err := r.run(); err != nil {
		r.undo()
		return nil, err
	}
	return r.container, nil
}

// start is one run of Start.
type start struct {
	plan      *Plan
	container *Container
	files     []int // to be closed at the end

	root   int
	trees  []int
	parent channel
	child  int // what was forked here: the stage, or nsenter
	stage  int // the stage, a child of ours too
}

func (r *start) run() error {
	p := r.plan
	if p.Spec.Name != "" {
		if err := nameFree(p.Spec.Name); err != nil {
			return err
		}
	}
	root, trees, err := p.openTrees()
	if err != nil {
		return err
	}
	r.root, r.trees = root, trees
	r.files = append(append(r.files, root), trees...)
	// Meanwhile the stage starts. A signal that comes first ends this process, and so the stage.
	listening := make(chan *forwarder, 1)
	go func() { listening <- newForwarder() }()
	err = r.fork()
	r.container.signal = <-listening
	if err != nil {
		return err
	}
	if p.Nsenter == "" {
		r.stage = r.child
	} else if err := r.meet(); err != nil {
		return err
	}
	pid := r.stage
	r.container.PID = pid
	if r.container.StartTime, err = startTime(pid); err != nil {
		return err
	}
	// All while the stage still starts: it is not waited for but where it has something to say.
	if err := p.writeMaps(pid); err != nil {
		return err
	}
	if err := r.tell("mapped"); err != nil {
		return err
	}
	if !p.keeps() {
		if err := r.tell("go"); err != nil {
			return err
		}
	}
	if err := r.hear("ready"); err != nil {
		return err
	}
	if p.keeps() {
		if err := r.keep(); err != nil {
			return err
		}
		if err := r.tell("go"); err != nil {
			return err
		}
	}
	if p.Spec.Init {
		if err := r.hear("running"); err != nil {
			return err
		}
		go r.container.watchInit(r.parent)
		r.parent.fd = -1
	} else if err := r.hear(""); err != nil {
		// The stage's end of the socket is closed when it executes the command.
		return err
	}
	r.container.signal.forwardTo(pid)
	return nil
}

// meet waits for the stage that nsenter becomes, and starts: it says by which PID this process numbers it.
func (r *start) meet() error {
	m, pid, err := r.parent.receive()
	if err != nil {
		return r.died(err)
	}
	r.stage = pid
	if m.Kind == "failed" {
		return m.failure()
	}
	if r.child != r.stage {
		_ = reap(r.child) // nsenter, and the stage that it became, have done their part
		r.child = 0
	}
	return nil
}

// keeps reports whether anything is written down before the command starts.
func (p *Plan) keeps() bool { return p.Spec.Report || p.Spec.Pin != "" || p.Spec.Name != "" }

// keep writes down what is to be found later: the pins and the state file.
func (r *start) keep() error {
	p := r.plan
	if p.Spec.Report {
		report, err := r.container.readReport()
		if err != nil {
			return &Error{What: "--report", Err: err, Status: StatusFailure}
		}
		r.container.Report = report
	}
	if p.Spec.Pin != "" {
		if err := r.container.pin(); err != nil {
			return err
		}
		if r.container.Report != nil {
			r.container.Report.Pins = r.container.Pins.Files
		}
	}
	if p.Spec.Name != "" {
		state, err := writeState(r.container)
		if err != nil {
			return err
		}
		r.container.state = state
	}
	return nil
}

// tell sends kind to the stage. Where the stage has ended, what is heard next says why.
func (r *start) tell(kind string) error {
	if err := r.parent.send(message{Kind: kind}); err != nil && !errors.Is(err, unix.EPIPE) {
		return r.died(err)
	}
	return nil
}

// hear waits for the stage to say want, or, with "", for the end of the socket.
func (r *start) hear(want string) error {
	m, _, err := r.parent.receive()
	switch {
	case want == "" && errors.Is(err, io.EOF):
		return nil
	case err != nil:
		return r.died(err)
	case m.Kind == "failed":
		return m.failure()
	case m.Kind != want:
		return fmt.Errorf("the stage said %q, not %q", m.Kind, want)
	}
	return nil
}

// died explains an end of the socket that came too early.
func (r *start) died(err error) error {
	if !errors.Is(err, io.EOF) && !errors.Is(err, unix.EPIPE) {
		return fmt.Errorf("talk to the stage: %w", err)
	}
	pid := r.stage
	if pid == 0 {
		pid = r.child
	}
	ws := reap(pid)
	r.child, r.stage = 0, 0
	what := "the stage"
	if r.plan.Nsenter != "" && r.container.PID == 0 {
		what = "nsenter"
	}
	return &Error{Err: fmt.Errorf("%s ended before the command could be started (%s)", what, describeStatus(ws)), Status: StatusFailure}
}

func describeStatus(ws unix.WaitStatus) string {
	if ws.Signaled() {
		return "killed by " + unix.SignalName(ws.Signal())
	}
	return "exit status " + strconv.Itoa(ws.ExitStatus())
}

// fork starts the stage: in the new namespaces, or through nsenter(1) in the joined ones.
func (r *start) fork() error {
	p := r.plan
	ours, theirs, err := newChannel()
	if err != nil {
		return err
	}
	r.parent = ours
	defer theirs.close()

	// Descriptors that the stage inherits. They are copies at unused numbers, and closed here after the fork.
	var copies []int
	defer func() {
		for _, fd := range copies {
			_ = unix.Close(fd)
		}
	}()
	pass := func(fd int) int {
		if fd < 0 || err != nil {
			return -1
		}
		var n int
		if n, err = inheritable(fd); err == nil {
			copies = append(copies, n)
		}
		return n
	}
	o := order{Plan: p, Env: append(os.Environ(), p.Spec.Env...), Root: pass(r.root), JoinMnt: -1, JoinPID: -1, Hop: p.Nsenter != ""}
	for _, tree := range r.trees {
		o.Trees = append(o.Trees, pass(tree))
	}
	var flags uintptr
	for _, n := range p.Spec.New {
		if n != Time {
			flags |= cloneFlag(n)
		}
	}
	o.Clone = flags
	argv := []string{os.Args[0]}
	if o.Hop {
		if argv, err = r.nsenter(pass, &o); err != nil {
			return err
		}
		flags = 0
	}
	file, ferr := memoryFile(o)
	if ferr != nil {
		return ferr
	}
	defer file.Close()
	argv = append(argv, stageArg, strconv.Itoa(pass(theirs.fd)), strconv.Itoa(pass(int(file.Fd()))))
	if err != nil {
		return err
	}
	path := "/proc/self/exe"
	if o.Hop {
		path = p.Nsenter
	}
	files := []uintptr{0, 1, 2}
	r.child, err = syscall.ForkExec(path, argv, &syscall.ProcAttr{
		Env: stageEnv(), Files: files, Sys: stageAttr(flags),
	})
	if err != nil {
		return cloneError(p, err)
	}
	return nil
}

// stageEnv is the environment of a stage itself: the command's is in its orders. One processor and no garbage collection
// have the Go runtime start fewer threads, which take longer than what the stage does.
func stageEnv() []string { return []string{"GOMAXPROCS=1", "GOGC=off"} }

func cloneFlag(n Namespace) uintptr {
	switch n {
	case User:
		return unix.CLONE_NEWUSER
	case PID:
		return unix.CLONE_NEWPID
	case Mount:
		return unix.CLONE_NEWNS
	case Net:
		return unix.CLONE_NEWNET
	case UTS:
		return unix.CLONE_NEWUTS
	case IPC:
		return unix.CLONE_NEWIPC
	case Cgroup:
		return unix.CLONE_NEWCGROUP
	}
	return unix.CLONE_NEWTIME
}

func cloneError(p *Plan, err error) error {
	hint := ""
	switch {
	case errors.Is(err, unix.ENOSPC), errors.Is(err, unix.EUSERS):
		hint = "a limit is reached: see /proc/sys/user/max_*_namespaces; user and PID namespaces nest 32 deep at most"
	case errors.Is(err, unix.EPERM) && p.Spec.has(User):
		hint = "user namespaces may be switched off (kernel.unprivileged_userns_clone, apparmor_restrict_unprivileged_userns), and a chroot cannot make one"
	}
	what := "start the stage"
	if len(p.Spec.New) > 0 {
		what = fmt.Sprintf("make the namespaces %v", p.Spec.New)
	}
	return &Error{Err: fmt.Errorf("%s: %w", what, err), Hint: hint, Status: StatusFailure}
}

// writeMaps writes setgroups and the maps of the stage's new user namespace.
func (p *Plan) writeMaps(pid int) error {
	if !p.Spec.has(User) {
		return nil
	}
	dir := "/proc/" + strconv.Itoa(pid) + "/"
	if p.Setgroups == "deny" {
		if err := writeOnce(dir+"setgroups", "deny"); err != nil {
			return notWritten(err)
		}
	}
	write := func(kind idmap.Kind, m idmap.Map, through string) error {
		switch {
		case len(m) == 0:
			return nil
		case through != "":
			return newidmap(through, pid, m)
		}
		if err := writeOnce(dir+string(kind)+"_map", m.Format()); err != nil {
			return notWritten(fmt.Errorf("%s: %w", mapName(kind, m), err))
		}
		return nil
	}
	if err := write(idmap.UID, p.UIDMap, p.UIDThrough); err != nil {
		return err
	}
	return write(idmap.GID, p.GIDMap, p.GIDThrough)
}

// notWritten explains why a file of the stage in /proc could not be written.
func notWritten(err error) error {
	e := &Error{Err: err, Status: StatusFailure}
	if errors.Is(err, unix.EACCES) {
		e.Hint = "is the nsview program readable for you? Else the kernel keeps /proc/PID of who executes it to root"
	}
	return e
}

// undo removes what a failed start has made.
func (r *start) undo() {
	for _, pid := range []int{r.child, r.stage} {
		if pid > 0 {
			_ = unix.Kill(pid, unix.SIGKILL)
			_ = reap(pid)
		}
		if r.child == r.stage {
			break
		}
	}
	r.container.Pins.remove()
	if r.container.state != nil {
		r.container.state.remove()
	}
	if r.container.signal != nil {
		r.container.signal.stop()
	}
}

func (r *start) closeFiles() {
	for _, fd := range append(r.files, r.parent.fd) {
		if fd >= 0 {
			_ = unix.Close(fd)
		}
	}
}
