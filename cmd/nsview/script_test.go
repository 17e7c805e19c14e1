package main

import (
	"bufio"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/sys/unix"

	"github.com/nsview/nsview/idmap"
	"github.com/nsview/nsview/procscan/pathwalk"
	"github.com/nsview/nsview/procscan/proctest"
	"github.com/nsview/nsview/runner"
)

func TestMain(m *testing.M) {
	// nsenter(1) starts the stage by another name than that of the command.
	if runner.IsStage(os.Args) {
		os.Exit(runner.Stage(os.Args))
	}
	if pathwalk.IsStandIn(os.Args) {
		pathwalk.StandIn()
		return
	}
	if len(os.Args) > 0 && strings.HasSuffix(os.Args[0], ".test") { // not one of the commands below
		proctest.HeedSignals()
	}
	testscript.Main(m, map[string]func(){
		"nsview":         checkedMain,
		"docker-nsview":  main,
		"kubectl-nsview": main,
		"crowd":          crowdMain,
		"nest":           nestMain,
		"deaf-fuse":      deafFUSEMain,
		"landlocked":     landlockedMain,
		"refused-calls":  refusedCallsMain,
		"refused-places": refusedPlacesMain,
	})
}

// TestScripts runs testdata/script/*.txtar: what a user sees of every command and flag. Besides testscript's own, the
// scripts have these commands:
//
//	start NAME NAMESPACES COMMAND [ARG...]  a process in new namespaces (user,pid,mnt,net,uts,ipc,cgroup or none), alive
//	                                        until the script ends; its host PID is in $NAME
//	status CODE COMMAND [ARG...]            exec, with that exit status
//
// and these conditions, which fail the script where NSVIEW_TEST_REQUIRE wants them: [root] and [ordinary], [busybox] for
// a static one in $BUSYBOX, and [grant] for a user whom newuidmap lets map more than its own ids.
// [git] and [xmllint] are for the programs, [fuse], [landlock] and [tracefs] are what the kernel has; [protected_regular] and [protected_hardlinks]
// are how the host is set up: tests do not change it.
func TestScripts(t *testing.T) {
	testscript.Run(t, scriptParams("testdata/script"))
}

func scriptParams(dir string) testscript.Params {
	return testscript.Params{
		Dir:                 dir,
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(env *testscript.Env) error {
			xsd, err := filepath.Abs("internal/ci/testdata/junit-10.xsd")
			if err != nil {
				return err
			}
			env.Setenv("JUNIT_XSD", xsd)
			env.Setenv("LC_ALL", "C.UTF-8")
			env.Setenv("HOME", env.WorkDir)
			env.Setenv("SELF", strconv.Itoa(os.Getpid()))
			env.Setenv("UID", strconv.Itoa(os.Geteuid()))
			env.Setenv("GID", strconv.Itoa(os.Getegid()))
			env.Setenv("BUSYBOX", busybox())
			env.Setenv("SUBUID", granted("/etc/subuid"))
			env.Setenv("SUBGID", granted("/etc/subgid"))
			env.Setenv("HOSTILE", "sleep 3600 #\x1b[31m\u202e\n:")
			return nil
		},
		Condition: func(name string) (bool, error) {
			have, known := map[string]bool{
				"root": os.Geteuid() == 0, "ordinary": os.Geteuid() != 0, "busybox": busybox() != "",
				"landlock": haveLandlock(), "fuse": haveDevice("/dev/fuse"), "git": haveProgram("git"), "xmllint": haveProgram("xmllint"),
				"tracefs":           haveTracefs(),
				"grant":             granted("/etc/subuid") != "" && granted("/etc/subgid") != "",
				"protected_regular": sysctl("fs/protected_regular") > 0, "protected_hardlinks": sysctl("fs/protected_hardlinks") > 0,
			}[name]
			switch {
			case !known:
				return false, fmt.Errorf("no condition %q", name)
			case !have && !strings.HasPrefix(name, "protected_") && proctest.Required(name): // a script has the other case of that too
				return false, fmt.Errorf("NSVIEW_TEST_REQUIRE wants %s, which is missing", name)
			}
			return have, nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"start":  scriptStart,
			"status": scriptStatus,
		},
	}
}

// haveTracefs reports whether tracefs is mounted, which nsview does not do.
func haveTracefs() bool {
	_, err := os.Stat("/sys/kernel/tracing/events/task")
	return err == nil
}

// busybox is the path of one that runs in an empty root directory, "" without one.
func busybox() string {
	path, err := lookPath("/usr/bin:/bin", "busybox")
	if err != nil {
		return ""
	}
	file, err := elf.Open(path)
	if err != nil {
		return ""
	}
	defer file.Close()
	if slices.ContainsFunc(file.Progs, func(p *elf.Prog) bool { return p.Type == elf.PT_INTERP }) {
		return "" // it needs a loader and libraries
	}
	return path
}

// granted is the first outside id that a file such as /etc/subuid grants this user, "" without one, or without the
// programs that let it be used.
func granted(file string) string {
	if _, err := lookPath("/usr/bin:/bin", "newuidmap"); err != nil {
		return ""
	}
	f, err := os.Open(file)
	if err != nil {
		return ""
	}
	defer f.Close()
	ids, _ := idmap.ParseSubIDs(f)
	var names []string
	if u, err := user.Current(); err == nil {
		names = append(names, u.Username)
	}
	grants := ids.Of(idmap.Kernel(os.Geteuid()), names...)
	if len(grants) == 0 {
		return ""
	}
	return grants[0].First.String()
}

// haveLandlock reports whether the kernel has Landlock switched on: it tells its version.
func haveLandlock() bool {
	_, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0, unix.LANDLOCK_CREATE_RULESET_VERSION)
	return errno == 0
}

func haveProgram(name string) bool {
	_, err := exec.LookPath(name)
	return err == nil
}

func haveDevice(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// sysctl is the value of a setting of the host, -1 without it.
func sysctl(name string) int {
	text, err := os.ReadFile("/proc/sys/" + name)
	if err != nil {
		return -1
	}
	n, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return -1
	}
	return n
}

// cloneFlags are the namespaces that scripts may ask for.
func cloneFlags() map[string]uintptr {
	return map[string]uintptr{
		"none": 0, "user": syscall.CLONE_NEWUSER, "pid": syscall.CLONE_NEWPID, "mnt": syscall.CLONE_NEWNS, "net": syscall.CLONE_NEWNET,
		"uts": syscall.CLONE_NEWUTS, "ipc": syscall.CLONE_NEWIPC, "cgroup": syscall.CLONE_NEWCGROUP,
	}
}

func scriptStart(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 3 {
		ts.Fatalf("usage: start NAME NAMESPACES COMMAND [ARG...]")
	}
	cmd := commandIn(ts, args[1], args[2:])
	out, err := cmd.StdoutPipe()
	ts.Check(err)
	ts.Check(cmd.Start()) // returns when COMMAND has been executed
	ts.Defer(func() {
		if args[2] == "nsview" { // run --name takes its record away when it is asked to end
			terminate(cmd)
			return
		}
		_ = cmd.Process.Kill() // of PID 1: the kernel ends the others in its PID namespace
		_ = cmd.Wait()
	})
	ts.Setenv(args[0], strconv.Itoa(cmd.Process.Pid))
	if args[2] == "nest" {
		ts.Setenv(args[0]+"_INNERMOST", readyLine(ts, out))
	}
}

// commandIn is a command to start in new namespaces, the caller's ids mapped to 0.
func commandIn(ts *testscript.TestScript, namespaces string, args []string) *exec.Cmd {
	path, err := lookPath(ts.Getenv("PATH"), args[0])
	ts.Check(err)
	cmd := exec.Command(path, args[1:]...)
	cmd.Args[0] = args[0]
	cmd.Dir = ts.MkAbs(".")
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	for name := range strings.SplitSeq(namespaces, ",") {
		flag, ok := cloneFlags()[name]
		if !ok {
			ts.Fatalf("no namespace %q", name)
		}
		cmd.SysProcAttr.Cloneflags |= flag
		if name == "user" {
			cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{HostID: os.Geteuid(), Size: 1}}
			cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{HostID: os.Getegid(), Size: 1}}
		}
	}
	return cmd
}

func lookPath(path, name string) (string, error) {
	for dir := range strings.SplitSeq(path, ":") {
		if info, err := os.Stat(dir + "/" + name); err == nil && !info.IsDir() {
			return dir + "/" + name, nil
		}
	}
	return "", fmt.Errorf("%s is not in PATH", name)
}

// readyLine is the line that the process prints when it is where the script wants it.
func readyLine(ts *testscript.TestScript, out io.ReadCloser) string {
	line := make(chan string, 1)
	go func() {
		text, err := bufio.NewReader(out).ReadString('\n')
		if err == nil {
			line <- strings.TrimSpace(text)
		}
		close(line)
	}()
	select {
	case text, ok := <-line:
		if !ok {
			ts.Fatalf("the process ended before it was ready")
		}
		return text
	case <-time.After(20 * time.Second):
		ts.Fatalf("the process was not ready in 20 s")
	}
	return ""
}

func scriptStatus(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: status CODE COMMAND [ARG...]")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec(args[1], args[2:]...)
	got := 0
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		got = exit.ExitCode()
	case err != nil:
		ts.Fatalf("%v", err)
	}
	if got != want {
		ts.Fatalf("exit status %d, want %d", got, want)
	}
}

// nestMain is a helper program of the scripts: nest N starts itself in new user, PID and mount namespaces, N deep. The
// innermost prints its own PID, which is 1, and all wait to be killed.
func nestMain() {
	depth, err := strconv.Atoi(os.Args[1])
	if err == nil && os.Getpid() == 1 {
		// The id maps of the next are written by its PID here, so /proc must show the PIDs that are used here.
		err = errors.Join(syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""), syscall.Mount("proc", "/proc", "proc", 0, ""))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "nest:", err)
		os.Exit(2)
	}
	if depth == 0 {
		fmt.Println(os.Getpid())
		time.Sleep(time.Hour) // longer than any script
	}
	cmd := exec.Command("/proc/self/exe", strconv.Itoa(depth-1))
	cmd.Args[0] = "nest"
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWPID | syscall.CLONE_NEWNS,
		UidMappings: []syscall.SysProcIDMap{{HostID: os.Geteuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{HostID: os.Getegid(), Size: 1}},
		Pdeathsig:   syscall.SIGKILL,
	}
	if err := cmd.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "nest:", err)
		os.Exit(1)
	}
}

// Every command has a script of its name, every flag of a command is used in one, and scripts are for commands that
// exist.
func TestEveryCommandAndFlagHasAScript(t *testing.T) {
	scripts, err := os.ReadDir("testdata/script")
	if err != nil {
		t.Fatal(err)
	}
	text := make(map[string]string) // by command
	for _, entry := range scripts {
		if entry.IsDir() {
			continue // of TestCases
		}
		content, err := os.ReadFile("testdata/script/" + entry.Name())
		if err != nil {
			t.Fatal(err)
		}
		name, _, _ := strings.Cut(strings.TrimSuffix(entry.Name(), ".txtar"), "_")
		text[name] += string(content)
	}
	for line := range strings.Lines(text["output"]) { // of all commands: each line belongs to its own
		if _, of, ok := strings.Cut(line, "nsview "); ok {
			name, _, _ := strings.Cut(of, " ")
			if name == "ls" {
				name = "containers"
			}
			text[name] += line
		}
	}
	commands := []string{"usage", "plugin", "output"}
	for _, cmd := range (&app{}).rootCommand(nil).Commands() {
		name := cmd.Name()
		commands = append(commands, name)
		if name == "help" || name == "completion" {
			continue // in usage
		}
		if text[name] == "" {
			t.Errorf("command %s has no script testdata/script/%s.txtar", name, name)
		}
		for _, flag := range flagNames(cmd) {
			if !slices.ContainsFunc(flag, func(spelling string) bool { return strings.Contains(text[name], spelling) }) {
				t.Errorf("no script of %s uses %s", name, flag[0])
			}
		}
	}
	for name := range text {
		if !slices.Contains(commands, name) {
			t.Errorf("scripts of %s: there is no such command", name)
		}
	}
}

// flagNames are the spellings of each of a command's own flags.
func flagNames(cmd *cobra.Command) [][]string {
	var names [][]string
	cmd.LocalNonPersistentFlags().VisitAll(func(f *pflag.Flag) {
		if f.Name == "help" || f.Hidden {
			return
		}
		spellings := []string{"--" + f.Name}
		if f.Shorthand != "" {
			spellings = append(spellings, " -"+f.Shorthand)
		}
		names = append(names, spellings)
	})
	return names
}
