package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/nsview/nsview/nsinspect"
	"github.com/nsview/nsview/nsinspect/shell"
	"github.com/nsview/nsview/procscan/pathwalk"
)

// storeFiles looks at the files that --path (TARGET:PATH) and --volumes ask for and stores what it saw in s. A path that
// could not be looked at is an error line and makes failed true; a volume is a gap.
func (a *app) storeFiles(ctx context.Context, s *nsinspect.Snapshot, paths []string, volumes bool) (failed bool) {
	asks := make([]pathwalk.Ask, 0, len(paths))
	for _, arg := range paths {
		ask, err := a.pathOf(s, arg)
		if err != nil {
			a.complain(err)
			failed = true
			continue
		}
		asks = append(asks, ask)
	}
	named := len(asks)
	if volumes {
		asks = append(asks, volumesOf(s)...)
	}
	w := pathwalk.New(s, nsinspect.NewAtlas(s), a.proc)
	defer a.progress("looking at " + counted(len(asks), "path"))()
	for i, ask := range asks {
		if ctx.Err() != nil {
			break
		}
		f, err := w.File(ctx, ask)
		if err != nil && i >= named {
			gap := nsinspect.Gap{Subject: ask.Target + ":" + ask.Path, Fact: "volume", Error: err.Error()}
			if ask.Process != nil {
				gap.PID = ask.Process.PID
			}
			if errors.Is(err, fs.ErrPermission) {
				gap.Hint = "run as root"
			}
			s.Gaps = append(s.Gaps, gap)
			continue
		}
		if err != nil {
			a.complain(err)
			failed = true
			continue
		}
		s.Files = append(s.Files, f)
		if f.Type == "symlink" {
			ask.Follow = true
			if f, err := w.File(ctx, ask); err == nil { // else it leads nowhere, and that is no failure
				s.Files = append(s.Files, f)
			}
		}
	}
	return failed
}

// cutTarget takes TARGET:PATH apart. A TARGET may have colons too: the path begins at the first that a slash follows, else
// at the last.
func cutTarget(arg string) (target, file string, ok bool) {
	at := strings.Index(arg, ":/")
	if at < 0 {
		at = strings.LastIndexByte(arg, ':')
	}
	if at <= 0 || at == len(arg)-1 {
		return "", "", false
	}
	return arg[:at], arg[at+1:], true
}

// pathOf is what TARGET:PATH asks to look at.
func (a *app) pathOf(s *nsinspect.Snapshot, arg string) (pathwalk.Ask, error) {
	name, file, ok := cutTarget(arg)
	if !ok {
		return pathwalk.Ask{}, usageError("--path host:/srv/data, --path web:/var/lib/mysql", "--path is TARGET:PATH, not \"%s\"", arg)
	}
	if !utf8.ValidString(file) {
		return pathwalk.Ask{}, fmt.Errorf(notUTF8, arg)
	}
	t, err := a.target(s, name)
	if err != nil {
		return pathwalk.Ask{}, err
	}
	if t.Container != nil && !t.Container.Running() {
		return stoppedAsk(t.Container, name, file)
	}
	ask := pathwalk.Ask{Path: file, Target: name}
	switch {
	case t.Host:
	case t.Process == nil:
		return pathwalk.Ask{}, fmt.Errorf("%s has no process whose files could be looked at", name)
	default:
		ask.Process = t.Process
	}
	return ask, nil
}

// notUTF8 is said of a path that a snapshot, which is JSON, could only store as another.
const notUTF8 = "%s: a snapshot cannot store a path that is not UTF-8"

// volumesOf asks for the volumes of all containers, as each container sees them; those of one that is not running, as the
// host does.
func volumesOf(s *nsinspect.Snapshot) []pathwalk.Ask {
	var asks []pathwalk.Ask
	viewers := s.Viewers()
	for i := range s.Containers {
		for _, v := range s.Volumes(&s.Containers[i]) {
			if ask, ok := volumeAsk(&v, s.Process(s.Containers[i].InitPID), viewers[i]); ok && !slices.Contains(asks, ask) {
				asks = append(asks, ask)
			}
		}
	}
	return asks
}

// volumeAsk is what to look at for a volume of the container viewer, whose first process is init: nil when it is not
// running. Then there is only the host's path, and false when there is none.
func volumeAsk(v *nsinspect.Volume, init *nsinspect.Process, viewer string) (pathwalk.Ask, bool) {
	ask := pathwalk.Ask{Path: v.Point, Process: init, Target: viewer}
	if init == nil {
		ask.Path, ask.Target = v.Source, hostTarget
	}
	return ask, path.IsAbs(ask.Path)
}

// stoppedAsk is what to look at for a file in a container that is not running: what the host has where it would be
// mounted.
func stoppedAsk(c *nsinspect.Container, name, file string) (pathwalk.Ask, error) {
	hostPath, ok := c.HostPath(path.Clean(file))
	if !ok {
		return pathwalk.Ask{}, usageError("nsview containers "+shell.Quote(name)+" lists what is mounted into it",
			"%s is not running, and %s is not in one of its volumes", name, file)
	}
	return pathwalk.Ask{Path: hostPath, Target: hostTarget}, nil
}

// storedFile is what a stored snapshot knows of a path: as it was asked for then, or what that led to. One that was not
// stored is unknown, and it is said how to store it.
func storedFile(s *nsinspect.Snapshot, ask pathwalk.Ask) (*nsinspect.FileFacts, error) {
	pid, target := 0, hostTarget
	if ask.Process != nil {
		pid, target = ask.Process.PID, ask.Target
	}
	if !utf8.ValidString(ask.Path) {
		return nil, fmt.Errorf(notUTF8, target+":"+ask.Path)
	}
	var found *nsinspect.FileFacts
	for _, f := range s.Files {
		if f.PID != pid {
			continue
		}
		if f.Path == ask.Path && f.Follow == ask.Follow {
			return f, nil
		}
		same := f.Path == ask.Path && !f.Follow || f.Resolved == ask.Path && ask.Path != ""
		if same && (f.Type != "symlink" || !ask.Follow) {
			found = f // there is nothing to follow
		}
	}
	if found != nil {
		f := *found
		f.Path = ask.Path
		return &f, nil
	}
	return nil, usageError("nsview snapshot --path "+shell.Quote(target+":"+ask.Path)+" stores it", "unknown: the snapshot has no %s:%s", target, ask.Path)
}
