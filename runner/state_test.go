package runner

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// A name is taken as long as the process of its state lives: not by a zombie, and not by another process with its PID.
func TestStaleState(t *testing.T) {
	child := func() *exec.Cmd {
		cmd := exec.Command("/bin/sh", "-c", "read line")
		stdin, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			_ = stdin.Close()
			_ = cmd.Wait()
		})
		return cmd
	}
	living, zombie := child(), child()
	if err := zombie.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the end of the child", func() bool { return strings.HasPrefix(statusField(zombie.Process.Pid, "State"), "Z") })

	for _, c := range []struct {
		name  string
		pid   int
		later uint64
		taken bool
	}{
		{"living", living.Process.Pid, 0, true},
		{"zombie", zombie.Process.Pid, 0, false},
		{"reused", living.Process.Pid, 1, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			started, err := startTime(c.pid)
			if err != nil {
				t.Fatal(err)
			}
			b, err := json.Marshal(State{ID: c.name, PID: c.pid, StartTime: started + c.later})
			if err != nil {
				t.Fatal(err)
			}
			dir := t.TempDir()
			path := filepath.Join(dir, c.name, StateFile)
			if err := errors.Join(os.Mkdir(filepath.Dir(path), 0o755), os.WriteFile(path, b, 0o644)); err != nil {
				t.Fatal(err)
			}
			if err := checkFree(dir, c.name); (err != nil) != c.taken {
				t.Errorf("checkFree: %v, want taken %v", err, c.taken)
			}
			if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) == c.taken {
				t.Errorf("the state: %v, want it kept %v", err, c.taken)
			}
		})
	}
}
