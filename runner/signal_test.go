package runner

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/nsview/nsview/procscan/proctest"
)

func exitStatus(t *testing.T, cmd *exec.Cmd) int {
	t.Helper()
	done := make(chan struct{})
	go func() {
		_ = cmd.Wait()
		close(done)
	}()
	select {
	case <-done:
		return cmd.ProcessState.ExitCode()
	case <-time.After(deadline):
		_ = cmd.Process.Kill()
		<-done
		t.Fatal("did not end")
		return -1
	}
}

func TestSignalsReachTheCommand(t *testing.T) {
	// Not with a read: a signal that comes just before it waits is heard only after it.
	trap := "trap 'exit 42' %s; echo up; while :; do sleep 0.05; done"
	for _, c := range []struct {
		name   string
		sig    unix.Signal
		script string
		want   int
	}{
		{"handled TERM", unix.SIGTERM, fmt.Sprintf(trap, "TERM"), 42},
		{"handled INT", unix.SIGINT, fmt.Sprintf(trap, "INT"), 42},
		{"handled HUP", unix.SIGHUP, fmt.Sprintf(trap, "HUP"), 42},
		{"handled USR1", unix.SIGUSR1, fmt.Sprintf(trap, "USR1"), 42},
		{"not handled TERM", unix.SIGTERM, untilEOF, 128 + 15},
		{"not handled INT", unix.SIGINT, untilEOF, 128 + 2},
		{"not handled USR2", unix.SIGUSR2, untilEOF, 128 + 12},
	} {
		for kind, spec := range map[string]Spec{
			"plain": {MapRoot: true},
			"PID 1": {MapRoot: true, New: []Namespace{PID}},
			"init":  {MapRoot: true, Init: true},
		} {
			t.Run(c.name+", "+kind, func(t *testing.T) {
				t.Parallel()
				spec.Command = sh(c.script)
				cmd := command(t, spec)
				asOrdinary(cmd)
				r := begin(t, cmd)
				if err := cmd.Process.Signal(c.sig); err != nil {
					t.Fatal(err)
				}
				if got := exitStatus(t, r.Cmd); got != c.want {
					t.Errorf("exit status %d, want %d", got, c.want)
				}
			})
		}
	}
}

// Of the signals that were ignored when it started, a Go program can tell only these two, the ones that nohup(1) and a
// shell's & ignore. Others that were ignored before stay so: the two lines are the same.
func TestIgnoredSignalsStayIgnored(t *testing.T) {
	arg := specJSON(t, Spec{MapRoot: true, New: []Namespace{PID}, MountProc: true, Command: []string{"grep", "SigIgn", "/proc/self/status"}})
	cmd := exec.Command("/bin/sh", "-c", `trap "" HUP INT; grep SigIgn /proc/self/status; exec "$0" "$@"`, program(), runArg, arg)
	asOrdinary(cmd)
	before, after, _ := strings.Cut(finish(t, cmd).output(t), "\n")
	if !strings.HasSuffix(before, "3") || after != before {
		t.Errorf("ignored before: %q, by the command: %q", before, after)
	}
}

// descendants are the processes below pid, by /proc/PID/task/TID/children.
func descendants(pid int) []int {
	var found []int
	tasks, _ := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	for _, task := range tasks {
		b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%s/children", pid, task.Name()))
		for field := range strings.FieldsSeq(string(b)) {
			if child, err := strconv.Atoi(field); err == nil {
				found = append(append(found, child), descendants(child)...)
			}
		}
	}
	return found
}

func TestCommandDiesWithNsview(t *testing.T) {
	specs := map[string]Spec{
		"plain":        {},
		"user":         {MapRoot: true},
		"PID 1":        {MapRoot: true, New: []Namespace{PID}},
		"init":         {MapRoot: true, Init: true},
		"capabilities": {MapCurrent: true, CapKeep: []string{"net_raw"}},
	}
	if os.Geteuid() == 0 {
		specs["other user"] = Spec{UID: inside(4321), GID: inside(4321)}
		specs["other user in a map"] = Spec{MapUID: mapped(0, 100000, 65536), UID: inside(4321), GID: inside(4321)}
	}
	for name, spec := range specs {
		t.Run(name, func(t *testing.T) {
			spec.Command = sh("echo up; exec sleep 1000")
			cmd := command(t, spec)
			if !strings.HasPrefix(name, "other") {
				asOrdinary(cmd)
			}
			r := begin(t, cmd)
			children := descendants(cmd.Process.Pid)
			if len(children) == 0 {
				t.Fatal("no children")
			}
			started := make(map[int]uint64)
			for _, child := range children {
				started[child], _ = startTime(child)
			}
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
			_ = r.Wait()
			for _, child := range children {
				eventually(t, fmt.Sprintf("the end of process %d", child), func() bool {
					now, err := startTime(child)
					return err != nil || now != started[child] || strings.HasPrefix(statusField(child, "State"), "Z")
				})
			}
		})
	}
}

// terminal is a pseudo terminal with a program on it, in a session of its own.
type terminal struct {
	t      *testing.T
	master *os.File
	cmd    *exec.Cmd

	mu   sync.Mutex
	seen bytes.Buffer
}

func onTerminal(t *testing.T, cmd *exec.Cmd) *terminal {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	proctest.Need(t, "ptmx", err == nil, fmt.Sprint(err))
	if err := unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	slave, err := os.OpenFile("/dev/pts/"+strconv.Itoa(n), os.O_RDWR|unix.O_NOCTTY, 0)
	proctest.Need(t, "ptmx", err == nil, fmt.Sprint(err))
	tty := &terminal{t: t, master: master, cmd: cmd}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = slave, slave, slave
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Setsid, cmd.SysProcAttr.Setctty = true, true
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	slave.Close()
	go func() {
		in := bufio.NewReader(master)
		for {
			c, err := in.ReadByte()
			if err != nil {
				return
			}
			tty.mu.Lock()
			tty.seen.WriteByte(c)
			tty.mu.Unlock()
		}
	}()
	t.Cleanup(func() {
		_ = unix.Kill(-cmd.Process.Pid, unix.SIGKILL)
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		master.Close()
	})
	return tty
}

func (tty *terminal) expect(text string) {
	tty.t.Helper()
	shown := proctest.Within(deadline, func() bool {
		tty.mu.Lock()
		defer tty.mu.Unlock()
		_, after, found := strings.Cut(tty.seen.String(), text)
		if found {
			tty.seen.Reset()
			tty.seen.WriteString(after)
		}
		return found
	})
	if shown {
		return
	}
	tty.mu.Lock()
	defer tty.mu.Unlock()
	settings, err := unix.IoctlGetTermios(int(tty.master.Fd()), unix.TCGETS)
	tty.t.Fatalf("the terminal did not show %q but %q; its settings are %+v (%v), and on it are\n%s", text, tty.seen.String(), settings, err, session(tty.cmd.Process.Pid))
}

// session describes the processes of a session: what a terminal that does not answer is waiting for.
func session(sid int) string {
	var b strings.Builder
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, name := range stats {
		stat, _ := os.ReadFile(name)
		_, after, _ := strings.Cut(string(stat), ") ")
		if f := strings.Fields(after); len(f) > 5 && f[3] == strconv.Itoa(sid) {
			syscall, _ := os.ReadFile(filepath.Join(filepath.Dir(name), "syscall"))
			before, _, _ := strings.Cut(string(stat), ") ")
			fmt.Fprintf(&b, "  %s) state %s parent %s group %s foreground %s in %s\n", before, f[0], f[1], f[2], f[5], strings.TrimSpace(string(syscall)))
		}
	}
	return b.String()
}

func (tty *terminal) typed(text string) {
	tty.t.Helper()
	if _, err := io.WriteString(tty.master, text); err != nil {
		tty.t.Fatal(err)
	}
}

var terminalKinds = map[string]Spec{
	"plain": {MapRoot: true},
	"PID 1": {MapRoot: true, New: []Namespace{PID}},
	"init":  {MapRoot: true, Init: true},
}

func TestInterruptFromTheTerminal(t *testing.T) {
	for kind, spec := range terminalKinds {
		t.Run(kind, func(t *testing.T) {
			spec.Command = []string{"sed", "-u", "s/ping/pong/"}
			cmd := command(t, spec)
			tty := onTerminal(t, cmd)
			tty.typed("ping\n")
			tty.expect("pong")
			tty.typed("\x03")
			if got := exitStatus(t, cmd); got != 128+2 {
				t.Errorf("not handled: exit status %d", got)
			}
			// A command that handles it gets it once.
			spec.Command = sh("n=0; trap 'n=$((n+1)); echo interrupt-$n' INT; echo up-now; read line; echo got-$line; read line; exit $n")
			cmd = command(t, spec)
			tty = onTerminal(t, cmd)
			tty.expect("up-now")
			tty.typed("\x03")
			tty.typed("a\n") // a trap waits for the read, unless that is under way already
			tty.expect("interrupt-1")
			tty.typed("b\n")
			tty.typed("c\n")
			if got := exitStatus(t, cmd); got != 1 {
				t.Errorf("handled: interrupted %d times", got)
			}
		})
	}
}

// TestJobControl types at an interactive shell that runs nsview as a job. What is expected is never what was typed, which
// the terminal echoes.
func TestJobControl(t *testing.T) {
	bash := findProgram("bash")
	proctest.Need(t, "bash", bash != "", "bash is not installed")
	for kind, spec := range terminalKinds {
		t.Run(kind, func(t *testing.T) {
			spec.Command = sh("echo up$((1+1))now; read line; echo got$((1+1))-$line; exec sed -u s/ping/pong/")
			cmd := exec.Command(bash, "--norc", "--noprofile", "-i")
			cmd.Env = append(os.Environ(), "PS1=ready> ", "HISTFILE=")
			tty := onTerminal(t, cmd)
			tty.expect("ready> ")
			tty.typed(program() + " " + runArg + " '" + specJSON(t, spec) + "'\n")
			tty.expect("up2now")
			tty.typed("\x1a")
			tty.expect("Stopped")
			tty.typed("echo in-the-$((20+3))-shell\n")
			tty.expect("in-the-23-shell")
			tty.typed("fg\n")
			tty.expect("runner-test-run")
			tty.typed("hello\n")
			tty.expect("got2-hello")
			tty.typed("ping\n") // the shell, which handles SIGINT, has executed sed, which does not
			tty.expect("pong")
			tty.typed("\x03")
			tty.expect("ready> ")
			tty.typed("echo status-$?-\n")
			tty.expect("status-130-")
			tty.typed("exit\n")
		})
	}
}

// TestTerminalComesBack runs an interactive shell inside, which takes the terminal, from a shell without job control.
func TestTerminalComesBack(t *testing.T) {
	bash := findProgram("bash")
	proctest.Need(t, "bash", bash != "", "bash is not installed")
	for kind, spec := range terminalKinds {
		t.Run(kind, func(t *testing.T) {
			spec.Command = []string{bash, "--norc", "--noprofile", "-i"}
			spec.Env = []string{"PS1=inside> ", "HISTFILE="}
			script := fmt.Sprintf("%s %s '%s'; echo status-$?-; read line; echo got-$line", program(), runArg, specJSON(t, spec))
			tty := onTerminal(t, exec.Command("/bin/sh", "-c", script))
			tty.expect("inside> ")
			tty.typed("sh -c 'echo run$((1+1))ing; exec sleep 1000'\n")
			tty.expect("run2ing")
			tty.typed("\x1a")
			tty.expect("Stopped")
			tty.expect("inside> ")
			tty.typed("kill -KILL %1; disown %1\n") // or exit would refuse while the shell has not seen it die
			tty.expect("inside> ")
			tty.typed("exit 7\n")
			tty.expect("status-7-")
			tty.typed("hello\n")
			tty.expect("got-hello")
		})
	}
}
