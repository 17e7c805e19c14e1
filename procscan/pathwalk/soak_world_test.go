package pathwalk

import (
	"bufio"
	"bytes"
	"debug/elf"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nsview/nsview/nsinspect"
	"github.com/nsview/nsview/nsinspect/access"
	"github.com/nsview/nsview/procscan"
	"github.com/nsview/nsview/procscan/proctest"
	"golang.org/x/sys/unix"
)

// stage is where scenes are built, one after the other.
type stage struct {
	t       *testing.T
	dir     string
	program string // what the agents run
	socket  *net.UnixListener
	nsenter string
	worlds  int
	lacks   map[string]int // what could not be made because the kernel has no such thing
}

func newStage(t *testing.T) *stage {
	t.Helper()
	proctest.Need(t, "root", os.Geteuid() == 0, "files of other users are needed")
	nsenter, err := findTool("nsenter")
	proctest.Need(t, "nsenter", err == nil, "nsenter (util-linux) makes root of the host a subject in other mount namespaces")
	// The test's own program is where only its user may go.
	program, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	proctest.Need(t, "CGO_ENABLED=0", staticProgram(program), "the agents run where no libraries are")
	st := &stage{t: t, dir: tempDir(t), nsenter: nsenter, lacks: map[string]int{}}
	st.program = filepath.Join(st.dir, "agent")
	if err := os.WriteFile(st.program, program, 0o755); err != nil {
		t.Fatal(err)
	}
	name := fmt.Sprintf("@nsview-test-%d-%d", os.Getpid(), time.Now().UnixNano())
	if st.socket, err = net.ListenUnix("unix", &net.UnixAddr{Name: name, Net: "unix"}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { st.socket.Close() })
	return st
}

// staticProgram reports whether a program needs no loader.
func staticProgram(program []byte) bool {
	f, err := elf.NewFile(bytes.NewReader(program))
	return err == nil && !slices.ContainsFunc(f.Progs, func(p *elf.Prog) bool { return p.Type == elf.PT_INTERP })
}

// findTool is a program of the system, wherever PATH points.
func findTool(name string) (string, error) {
	for _, dir := range []string{"/usr/bin/", "/bin/", "/usr/sbin/", "/sbin/"} {
		if unix.Access(dir+name, unix.X_OK) == nil {
			return dir + name, nil
		}
	}
	return "", fmt.Errorf("no %s", name)
}

// top is where, in a world, everything is made.
const top = "/t"

// actor is an agent of a world.
type actor struct {
	pid  int
	conn *net.UnixConn
	in   *bufio.Reader
	cmd  *exec.Cmd // nil for one that another agent started
}

// actorTime is how long an agent may take for one step: one that hangs fails the test, with a name.
const actorTime = 20 * time.Second

// ask has an agent do something: the errno's name, "" for success.
func (a *actor) ask(q request) (string, error) {
	if err := a.conn.SetDeadline(time.Now().Add(actorTime)); err != nil {
		return "", err
	}
	text, err := json.Marshal(q)
	if err != nil {
		return "", err
	}
	if _, err := a.conn.Write(append(text, '\n')); err != nil {
		return "", fmt.Errorf("agent %d, %s: %w", a.pid, text, err)
	}
	line, err := a.in.ReadString('\n')
	if err != nil {
		return "", fmt.Errorf("agent %d, %s: %w", a.pid, text, err)
	}
	return line[:len(line)-2], nil
}

// must is ask for what has to succeed.
func (a *actor) must(q request) error {
	said, err := a.ask(q)
	if err == nil && said != "" {
		err = errors.New(said)
	}
	return err
}

// world is a scene as the kernel has it.
type world struct {
	stage    *stage
	scene    *scene
	root     string
	actors   map[where]*actor // with all capabilities in their user namespace
	subjects []*actor
	prober   *Prober
}

// build makes a scene. The error says which part of it the kernel refused; what the kernel does not have at all is left
// out and counted.
func (st *stage) build(s *scene) (*world, error) {
	st.worlds++
	w := &world{stage: st, scene: s, root: filepath.Join(st.dir, "w"+strconv.Itoa(st.worlds)), actors: map[where]*actor{}}
	if err := w.make(); err != nil {
		w.close()
		return nil, err
	}
	return w, nil
}

func (w *world) make() error {
	for _, dir := range []string{w.root, w.root + "/proc", w.root + top} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			return err
		}
	}
	if err := os.Link(w.stage.program, w.root+"/agent"); err != nil {
		return err
	}
	for i := range w.scene.Acts {
		if err := w.act(&w.scene.Acts[i]); err != nil {
			return err
		}
	}
	for i := range w.scene.Subjects {
		p := &w.scene.Subjects[i]
		a, err := w.subject(p.In, fmt.Sprintf("subject-%d", i))
		if err != nil {
			return fmt.Errorf("subject %s: %w", p, err)
		}
		w.subjects = append(w.subjects, a)
		if err := a.must(request{Become: p}); err != nil {
			return fmt.Errorf("subject %s: %w", p, err)
		}
	}
	snap, err := procscan.Scan(w.stage.t.Context(), procscan.Options{Facts: procscan.Graph | procscan.Mounts})
	if err != nil {
		return err
	}
	nsinspect.Group(snap, nil)
	if w.prober, err = NewProber(snap, "/proc"); err != nil {
		return err
	}
	w.prober.UseStandIns()
	return nil
}

func (w *world) act(a *act) error {
	by, err := w.actor(a.By)
	if err != nil {
		return err
	}
	q := request{Build: a}
	if a.Idmap != 0 {
		ids, err := w.actor(w.scene.home(a.Idmap))
		if err != nil {
			return err
		}
		q.IDs = ids.pid
	}
	said, err := by.ask(q)
	switch {
	case err != nil:
		return err
	case said == "EOPNOTSUPP" || said == "ENOTTY":
		w.stage.lacks[a.Kind]++
	case said != "":
		return errors.New(said)
	}
	return nil
}

// actor is the agent with all capabilities that is at a place, started when it is first needed.
func (w *world) actor(at where) (*actor, error) {
	if a := w.actors[at]; a != nil {
		return a, nil
	}
	a, err := w.start(at, fmt.Sprintf("space-%d-%d", at.Space, at.Mounts))
	if err != nil {
		return nil, fmt.Errorf("a process %s: %w", at, err)
	}
	w.actors[at] = a
	return a, nil
}

// subject starts an agent that is still to take a subject's credentials.
func (w *world) subject(at where, name string) (*actor, error) {
	if at.Space == 0 && at.Mounts != 0 {
		return w.start(at, name)
	}
	first, err := w.actor(at)
	if err != nil {
		return nil, err
	}
	return w.spawned(first, &spawn{Name: name})
}

// start starts the first agent at a place, by making that.
func (w *world) start(at where, name string) (*actor, error) {
	switch {
	case at.Space != 0:
		sp := w.scene.Spaces[at.Space]
		parent, err := w.actor(w.scene.home(sp.Parent))
		if err != nil {
			return nil, err
		}
		return w.spawned(parent, &spawn{Name: name, Space: &sp})
	case at.Mounts != 0:
		inside, err := w.actor(w.scene.home(at.Mounts))
		if err != nil {
			return nil, err
		}
		proc := fmt.Sprintf("/proc/%d/", inside.pid)
		return w.command(name, &syscall.SysProcAttr{}, w.stage.nsenter, "--mount="+proc+"ns/mnt", "--root="+proc+"root", "--wd="+proc+"root", "/agent")
	}
	a, err := w.command(name, &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNS}, w.stage.program)
	if err != nil {
		return nil, err
	}
	return a, a.must(request{Stage: w.root})
}

// command starts an agent from here.
func (w *world) command(name string, attr *syscall.SysProcAttr, words ...string) (*actor, error) {
	cmd := exec.Command(words[0], words[1:]...)
	cmd.Dir, cmd.SysProcAttr, cmd.Stderr = "/", attr, os.Stderr
	cmd.Env = []string{agentVariable + "=" + w.stage.socket.Addr().String() + " " + name}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	a, err := w.accept(name)
	if err != nil {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		return nil, err
	}
	a.cmd = cmd
	return a, nil
}

// spawned starts an agent from another one.
func (w *world) spawned(by *actor, s *spawn) (*actor, error) {
	s.Socket = w.stage.socket.Addr().String()
	if err := by.must(request{Spawn: s}); err != nil {
		return nil, err
	}
	return w.accept(s.Name)
}

func (w *world) accept(name string) (*actor, error) {
	if err := w.stage.socket.SetDeadline(time.Now().Add(actorTime)); err != nil {
		return nil, err
	}
	conn, err := w.stage.socket.AcceptUnix()
	if err != nil {
		return nil, fmt.Errorf("agent %s: %w", name, err)
	}
	a := &actor{conn: conn, in: bufio.NewReader(conn)}
	_ = conn.SetDeadline(time.Now().Add(actorTime))
	line, err := a.in.ReadString('\n')
	if err == nil {
		var who string
		if _, err = fmt.Sscanf(line, "%s %d", &who, &a.pid); err == nil && who != name {
			err = fmt.Errorf("agent %s came where %s was expected", who, name)
		}
	}
	if err != nil {
		conn.Close()
		return nil, err
	}
	return a, nil
}

// close ends the agents, with which the namespaces and mounts go, and removes the files.
func (w *world) close() {
	all := append([]*actor{}, w.subjects...)
	for _, a := range w.actors {
		all = append(all, a)
	}
	for _, a := range all {
		a.conn.Close() // an agent ends when nobody is left to ask it, after those that it started
	}
	for _, a := range all {
		if a.cmd != nil {
			_ = a.cmd.Wait()
		}
	}
	if w.prober != nil {
		w.prober.Close()
	}
	_ = filepath.WalkDir(w.root, func(p string, d os.DirEntry, err error) error {
		if err == nil && (d.IsDir() || d.Type().IsRegular()) {
			_ = setFlag(p, 0)
		}
		return nil
	})
	if err := os.RemoveAll(w.root); err != nil {
		w.stage.t.Errorf("remove what a scene left: %v", err)
	}
}

// answer is what Decide and the kernel say to one question.
type answer struct {
	subject *access.Subject
	walk    *access.Walk
	verdict access.Verdict
	said    string // the errno's name, "" for success
}

// open reports whether the verdict is that of the kernel, and the answer itself says that its error may be another one.
func (a *answer) open() bool {
	return a.verdict.Verdict == access.Deny && a.said != "" && string(a.verdict.Errno) != a.said && slices.ContainsFunc(a.verdict.Assumptions, func(s string) bool {
		return strings.HasSuffix(s, "the error may be "+a.said+" instead") || strings.HasPrefix(s, "nothing is refused earlier: ")
	})
}

// wrong reports whether the verdict contradicts the kernel.
func (a *answer) wrong() bool {
	return !a.open() && a.verdict.Verdict != access.Unknown && (string(a.verdict.Errno) != a.said || (a.said == "") != (a.verdict.Verdict == access.Allow))
}

// lacking reports whether an engine without a rule would give a wrong answer.
func (a *answer) lacking(rule access.Rule, op access.Operation) bool {
	return string(access.DecideWithout(rule, a.subject, a.walk, op).Errno) != a.said
}

// ask asks Decide, then the kernel.
func (w *world) ask(subject int, q request) (*answer, error) {
	p := w.subjects[subject]
	ctx := w.stage.t.Context()
	s, err := w.prober.Process(ctx, p.pid, strconv.Itoa(p.pid))
	if err != nil {
		return nil, err
	}
	walk, err := w.prober.Walk(ctx, s, q.Op, q.Path)
	if err != nil {
		return nil, err
	}
	a := &answer{subject: s, walk: walk, verdict: access.Decide(s, walk, q.Op)}
	a.said, err = p.ask(q)
	return a, err
}
