package runner

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// State is state.json: the state of a container as the OCI runtime specification has it, with the start time of its
// process added, so that a state that is left over is not taken for another process with the same PID.
type State struct {
	OCIVersion  string            `json:"ociVersion"`
	ID          string            `json:"id"`
	Status      string            `json:"status"` // "running"
	PID         int               `json:"pid"`    // as the observer who started it numbers it
	Bundle      string            `json:"bundle"` // the root directory, "/" when it shares the host's
	Annotations map[string]string `json:"annotations,omitempty"`
	StartTime   uint64            `json:"startTime"` // clock ticks after boot, field 22 of proc_pid_stat(5)
}

// StateFile is the name of the file in the directory of a container.
const StateFile = "state.json"

const ociVersion = "1.2.0"

// stateFile is a written state.json.
type stateFile struct {
	dir   string
	state State
}

// stateDirs are where this user's states may be, the first one that works is taken: /run/nsview for root,
// $XDG_RUNTIME_DIR/nsview, and without that variable a directory of one's own in /tmp.
func stateDirs() []string {
	var dirs []string
	if os.Geteuid() == 0 {
		dirs = append(dirs, "/run/nsview")
	}
	if dir := os.Getenv("XDG_RUNTIME_DIR"); filepath.IsAbs(dir) {
		return append(dirs, filepath.Join(dir, "nsview"))
	}
	return append(dirs, "/tmp/nsview-"+strconv.Itoa(os.Geteuid()))
}

// openStateDir opens the directory of all states, made if need be, and locks it until it is closed.
func openStateDir() (*os.File, error) {
	var why []string
	for _, dir := range stateDirs() {
		mode := fs.FileMode(0o700)
		if dir == "/run/nsview" {
			mode = 0o755
		}
		f, err := lockDir(dir, mode)
		if err == nil {
			return f, nil
		}
		why = append(why, err.Error())
	}
	return nil, errors.New(strings.Join(why, "; "))
}

func lockDir(dir string, mode fs.FileMode) (*os.File, error) {
	if err := os.Mkdir(dir, mode); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	f, err := os.OpenFile(dir, os.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return nil, err
	}
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		f.Close()
		return nil, &fs.PathError{Op: "stat", Path: dir, Err: err}
	}
	if int(st.Uid) != os.Geteuid() || st.Mode&0o022 != 0 {
		f.Close()
		return nil, fmt.Errorf("%s does not belong to you alone", dir)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX); err != nil {
		f.Close()
		return nil, &fs.PathError{Op: "flock", Path: dir, Err: err}
	}
	return f, nil
}

// nameFree refuses a name that a running container of this user has.
func nameFree(name string) error {
	dir, err := openStateDir()
	if err != nil {
		return &Error{What: "--name " + name, Err: err, Hint: "set XDG_RUNTIME_DIR to a directory of yours", Status: StatusFailure}
	}
	defer dir.Close()
	return checkFree(dir.Name(), name)
}

// checkFree removes a state of that name that is stale. The directory is locked.
func checkFree(dir, name string) error {
	path := filepath.Join(dir, name, StateFile)
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	var s State
	if err == nil && json.Unmarshal(b, &s) == nil && s.lives() {
		return &Error{What: "--name " + name, Err: fmt.Errorf("the name is taken by process %d", s.PID), Status: StatusFailure}
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// lives reports whether the process of a state is still there. A zombie, which nobody has reaped yet, is not; a process
// whose first thread has ended looks like one, but has other threads.
func (s State) lives() bool {
	started, err := startTime(s.PID)
	if err != nil || started != s.StartTime {
		return false
	}
	return !strings.HasPrefix(statusField(s.PID, "State"), "Z") || statusField(s.PID, "Threads") != "1"
}

// writeState writes the state of c, whole or not at all.
func writeState(c *Container) (*stateFile, error) {
	name := c.Plan.Spec.Name
	dir, err := openStateDir()
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	if err := checkFree(dir.Name(), name); err != nil {
		return nil, err
	}
	s := &stateFile{dir: filepath.Join(dir.Name(), name), state: State{
		OCIVersion: ociVersion, ID: name, Status: "running", PID: c.PID, StartTime: c.StartTime, Bundle: "/",
	}}
	if root := c.Plan.Spec.Root; root != "" {
		s.state.Bundle = root
	}
	b, err := json.Marshal(s.state)
	if err != nil {
		return nil, err
	}
	if err := os.Mkdir(s.dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	temp := filepath.Join(s.dir, StateFile+".new")
	if err := os.WriteFile(temp, append(b, '\n'), 0o644); err != nil {
		return nil, err
	}
	if err := os.Rename(temp, filepath.Join(s.dir, StateFile)); err != nil {
		return nil, err
	}
	return s, nil
}

// remove deletes the state, unless another container has taken the name since.
func (s *stateFile) remove() {
	dir, err := lockDir(filepath.Dir(s.dir), 0o755)
	if err != nil {
		return
	}
	defer dir.Close()
	path := filepath.Join(s.dir, StateFile)
	b, err := os.ReadFile(path)
	var now State
	if err != nil || json.Unmarshal(b, &now) != nil || now.PID != s.state.PID || now.StartTime != s.state.StartTime {
		return
	}
	_ = os.Remove(path)
	_ = os.Remove(s.dir)
}

// startTime is when a process started, in clock ticks after boot: field 22 of /proc/PID/stat, where the name, field 2,
// may hold anything and ends at the last parenthesis.
func startTime(pid int) (uint64, error) {
	path := "/proc/" + strconv.Itoa(pid) + "/stat"
	b, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	fields := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:]))
	if len(fields) < 20 {
		return 0, fmt.Errorf("%s: too short", path)
	}
	ticks, err := strconv.ParseUint(fields[19], 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%s: start time: %w", path, err)
	}
	return ticks, nil
}
