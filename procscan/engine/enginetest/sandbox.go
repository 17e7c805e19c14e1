package enginetest

import (
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nsview/nsview/procscan/proctest"
)

// ready is what a program prints when all that it starts is there.
const ready = "ready"

// sleepCommand runs in a container, until it is killed.
const sleepCommand = "echo " + ready + "; exec sleep 1000"

// Nspawn starts sleep with systemd-nspawn and further flags in a root file system that it makes at dir, and returns the
// PID of systemd-nspawn.
func Nspawn(t *testing.T, dir string, flags ...string) int {
	t.Helper()
	Need(t, "systemd-nspawn", "busybox")
	Rootfs(t, dir)
	if err := os.MkdirAll(dir+"/usr", 0o755); err != nil { // without it systemd-nspawn refuses
		t.Fatal(err)
	}
	t.Cleanup(func() { // the cgroups it makes where there is no systemd; those in use stay
		for _, hierarchy := range []string{"", "/systemd", "/unified"} {
			_ = os.Remove("/sys/fs/cgroup" + hierarchy + "/payload")
			_ = os.Remove("/sys/fs/cgroup" + hierarchy + "/supervisor")
		}
	})
	args := append([]string{"-q", "-D", dir, "--register=no", "--keep-unit", "--console=pipe"}, flags...)
	// On SIGTERM it ends what it started, which is in another process group, and removes its files.
	return start(t, 0, exec.Command("systemd-nspawn", append(args, "/bin/sh", "-c", sleepCommand)...), syscall.SIGTERM)
}

// Bwrap starts sleep in a sandbox as a user, who need not be in /etc/passwd, and returns the PID of the bwrap outside.
func Bwrap(t *testing.T, uid uint32, flags ...string) int {
	t.Helper()
	Need(t, "bwrap")
	return start(t, uid, exec.Command("bwrap", append(flags, "sh", "-c", sleepCommand)...), syscall.SIGKILL)
}

// Impostor starts a process that calls itself comm and has any command line, with a child in a mount namespace of its
// own, as a user and behind a command that puts it elsewhere. Its file is in dir. It returns the PID of what it started.
func Impostor(t *testing.T, dir string, uid uint32, comm string, args []string, behind ...string) int {
	t.Helper()
	Need(t)
	program := dir + "/" + comm
	if _, err := os.Stat(program); err != nil {
		built := dir + "/impostor"
		if _, err := os.Stat(built); err != nil {
			_, err := Try(t, []string{"CGO_ENABLED=0"}, "go", "build", "-o", built, "github.com/nsview/nsview/procscan/engine/enginetest/impostor")
			proctest.Need(t, "go", err == nil, fmt.Sprint(err))
		}
		if err := os.Link(built, program); err != nil {
			t.Fatal(err)
		}
	}
	command := append(slices.Clone(behind), program)
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Env = append(os.Environ(), "IMPOSTOR="+strings.Join(args, "\n"))
	return start(t, uid, cmd, syscall.SIGKILL)
}

// start starts a command as a user and waits until it says that it is ready. At the end of the test it sends a
// signal to its process group.
func start(t *testing.T, uid uint32, cmd *exec.Cmd, end syscall.Signal) int {
	t.Helper()
	output, err := os.CreateTemp(t.TempDir(), "output") // a pipe would stay open as long as anything that was started lives
	if err != nil {
		t.Fatal(err)
	}
	defer output.Close()
	said := func() string {
		content, _ := os.ReadFile(output.Name())
		return string(content)
	}
	cmd.Stdout, cmd.Stderr, cmd.Dir = output, output, "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if uid != 0 {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: uid, Gid: uid}
	}
	if _, err := cmd.StdinPipe(); err != nil { // not /dev/null, of which a container may change the owner
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, end)
		timer := time.AfterFunc(Deadline/3, func() { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) })
		<-ended
		timer.Stop()
	})
	Eventually(t, cmd.String()+" is ready", func() bool {
		select {
		case err := <-ended:
			ended <- err
			t.Fatalf("%s ended: %v: %s", cmd, err, said())
		default:
		}
		return strings.Contains(said(), ready+"\n")
	})
	return cmd.Process.Pid
}
