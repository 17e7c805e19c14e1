package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/nsview/nsview/nsinspect"
)

// nsview reads the states that nsview run --name leaves: DIR/NAME/state.json, the state of the OCI runtime
// specification with the start time of its process. A state is hostile until its owner is known: anyone may write one
// about anything.
func nsview(ctx context.Context, snap *nsinspect.Snapshot, o Options) ([]nsinspect.Claim, []nsinspect.Gap) {
	var (
		claims []nsinspect.Claim
		gaps   []nsinspect.Gap
	)
	for _, dir := range nsviewDirs(o) {
		states, err := readStates(ctx, dir)
		if err != nil {
			if !errors.Is(err, fs.ErrNotExist) {
				gaps = append(gaps, nsinspect.Gap{Subject: dir, Fact: "nsview state", Error: reason(err), Hint: hint(err)})
			}
			continue
		}
		for _, s := range states {
			if p := snap.Process(s.PID); p == nil || p.StartTime == 0 || p.StartTime != s.StartTime {
				continue // it ended, and the state is stale
			}
			owns, gap := believed(snap, s, o)
			if gap != nil {
				gaps = append(gaps, *gap)
			}
			if owns {
				claims = append(claims, s.claim())
			}
		}
	}
	return claims, gaps
}

// nsviewDirs are where nsview run writes: as root /run/nsview, as others $XDG_RUNTIME_DIR/nsview, or without that
// variable /tmp/nsview-UID.
func nsviewDirs(o Options) []string {
	dirs := []string{filepath.Join(o.HostRoot, "run/nsview")}
	if o.RuntimeDir != "" && o.HostRoot == "/" {
		dirs = append(dirs, filepath.Join(o.RuntimeDir, "nsview"))
	}
	for _, pattern := range []string{"run/user/*/nsview", "tmp/nsview-*"} {
		found, err := filepath.Glob(filepath.Join(o.HostRoot, pattern))
		if err != nil {
			continue // the pattern is a good one: there is no other error
		}
		for _, dir := range found {
			if !slices.Contains(dirs, dir) {
				dirs = append(dirs, dir)
			}
		}
	}
	return dirs
}

// state is what a state.json says, and who wrote it.
type state struct {
	ID        string `json:"id"`
	PID       int    `json:"pid"`
	StartTime uint64 `json:"startTime"`

	owner uint32
}

// claim calls the container by its name. Names are each user's own, so that the id of one that is not root's has the
// uid before it.
func (s *state) claim() nsinspect.Claim {
	id := s.ID
	if s.owner != 0 {
		id = strconv.FormatUint(uint64(s.owner), 10) + "/" + s.ID
	}
	return nsinspect.Claim{Engine: "nsview", ID: id, Name: s.ID, InitPID: s.PID, StartTime: s.StartTime}
}

// Bounds on what is read of a directory that is not ours.
const (
	stateDeadline = time.Second
	stateCap      = 64 << 10
	statesCap     = 10000
)

// readStates reads DIR/*/state.json. It comes back after a second, also when the directory is on a file system that
// does not answer. A file that is no state says nothing and is passed over.
func readStates(ctx context.Context, dir string) ([]state, error) {
	ctx, cancel := context.WithTimeout(ctx, stateDeadline)
	defer cancel()
	type answer struct {
		states []state
		err    error
	}
	done := make(chan answer, 1)
	go func() {
		states, err := readStateDir(dir)
		done <- answer{states, err}
	}()
	select {
	case a := <-done:
		return a.states, a.err
	case <-ctx.Done():
		return nil, fmt.Errorf("read %s: %w", dir, ctx.Err())
	}
}

func readStateDir(dir string) ([]state, error) {
	fd, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: dir, Err: err}
	}
	f := os.NewFile(uintptr(fd), dir)
	defer f.Close()
	names, err := f.Readdirnames(statesCap)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	slices.Sort(names)
	var states []state
	for _, name := range names {
		s, err := readState(fd, name)
		if err != nil || s.ID != name || !plainName(name) {
			continue
		}
		states = append(states, s)
	}
	return states, nil
}

// readState reads NAME/state.json below dir, and nowhere else: no symbolic link and no mount leads out.
func readState(dir int, name string) (state, error) {
	fd, err := unix.Openat2(dir, name+"/state.json", &unix.OpenHow{
		Flags:   unix.O_RDONLY | unix.O_NONBLOCK | unix.O_NOCTTY | unix.O_CLOEXEC,
		Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_MAGICLINKS | unix.RESOLVE_NO_XDEV,
	})
	if err != nil {
		return state{}, err
	}
	f := os.NewFile(uintptr(fd), name)
	defer f.Close()
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return state{}, err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG || st.Size > stateCap {
		return state{}, errors.New("not a small regular file")
	}
	s := state{owner: st.Uid}
	return s, json.NewDecoder(io.LimitReader(f, stateCap)).Decode(&s)
}

// plainName reports whether name is one that nsview run --name takes, and so a TARGET that means nothing else.
func plainName(name string) bool {
	if name == "" || len(name) > 64 || name == "host" || strings.Trim(name, "0123456789") == "" {
		return false
	}
	for i, r := range name {
		alnum := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9'
		if !alnum && (i == 0 || !strings.ContainsRune("_.-", r)) {
			return false
		}
	}
	return true
}
