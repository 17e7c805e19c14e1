package engine

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/nsview/nsview/nsinspect"
	"github.com/nsview/nsview/procscan"
)

// Programs are the names of the processes whose credentials and cgroup say something about containers although they are in
// none: see procscan.Options.
func Programs() []string {
	var names []string
	for _, engine := range engines() {
		names = append(names, engine.Programs...)
	}
	return names
}

// programs reads the command lines of the engines' own programs: processes with their names that are in no container.
// One that shares the host's PID namespace and was given the host's root directory, to monitor it, is told by the shim
// above it.
func (r *reader) programs(list []Engine) []Program {
	names := make(map[string]bool)
	for _, engine := range list {
		for _, name := range engine.Programs {
			names[name] = true
		}
	}
	ctx, cancel := context.WithTimeout(r.ctx, totalDeadline)
	defer cancel()
	var (
		programs []Program
		hostRoot unix.Stat_t
	)
	if err := unix.Stat(r.o.HostRoot, &hostRoot); err != nil {
		r.gap(r.o.HostRoot, "the host's root directory", err)
		return nil
	}
	r.elsewhere(hostRoot)
	for i := range r.snap.Processes {
		p := &r.snap.Processes[i]
		if !names[p.Comm] || p.State == "Z" || !r.sameDepth(p) {
			continue
		}
		program, err := procscan.InTime(ctx, readDeadline, func() (*Program, error) { return readProgram(r.o.Proc, p, hostRoot) })
		switch {
		case errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ESRCH):
		case err != nil:
			r.gap("pid "+strconv.Itoa(p.PID), "command line", err)
		case program != nil:
			programs = append(programs, *program)
		}
	}
	return slices.DeleteFunc(slices.Clone(programs), func(p Program) bool { return r.held(list, programs, &p) })
}

// elsewhere says so when the procfs shows a container's processes, and not those of the host whose root directory it is.
func (r *reader) elsewhere(hostRoot unix.Stat_t) {
	if ns := r.snap.Observer.ProcPIDNS; r.o.HostRoot == "/" || ns == 0 || ns == procscan.InitPIDNS {
		return
	}
	var root unix.Stat_t
	if err := unix.Stat(filepath.Join(r.o.Proc, "1/root"), &root); err == nil && (root.Dev != hostRoot.Dev || root.Ino != hostRoot.Ino) {
		r.gaps = append(r.gaps, nsinspect.Gap{
			Subject: "the host", Fact: "processes", Error: r.o.Proc + " shows those of a container",
			Hint: "start the container with the host's PID namespace, or give a procfs of the host with --proc",
		})
	}
}

// held reports whether an engine's program stands above p and says that it is in a container.
func (r *reader) held(list []Engine, programs []Program, p *Program) bool {
	e := Evidence{Snapshot: r.snap, Programs: programs}
	for _, up := range e.ancestors(r.snap.Process(p.PID)) {
		holder := e.program(up.PID)
		if holder == nil || holder.UID != 0 && holder.UID != p.UID {
			continue
		}
		if slices.ContainsFunc(list, func(engine Engine) bool { return slices.Contains(engine.Holds, holder.Comm) }) {
			return true
		}
	}
	return false
}

// sameDepth reports whether a process is in the PID namespace that the procfs shows, and in none below.
func (r *reader) sameDepth(p *nsinspect.Process) bool {
	o := &r.snap.Observer
	if p.Namespaces.PID != 0 && o.ProcPIDNS != 0 {
		return p.Namespaces.PID == o.ProcPIDNS
	}
	return len(p.PIDs) <= 1
}

// readProgram is nil for a process with another root directory than the host's: it is in a container, whatever it calls
// itself. Where the observer may not see the root directory, it may not read the state files either, and only what the
// program's own user may say is believed of it.
func readProgram(proc string, p *nsinspect.Process, hostRoot unix.Stat_t) (*Program, error) {
	dir := filepath.Join(proc, strconv.Itoa(p.PID))
	var root unix.Stat_t
	switch err := unix.Stat(dir+"/root", &root); {
	case errors.Is(err, unix.EACCES):
	case err != nil:
		return nil, &fs.PathError{Op: "stat", Path: dir + "/root", Err: err}
	case root.Dev != hostRoot.Dev || root.Ino != hostRoot.Ino:
		return nil, nil
	}
	b, err := readArgs(dir + "/cmdline")
	if err != nil {
		return nil, err
	}
	program := &Program{PID: p.PID, PPID: p.PPID, Comm: p.Comm, UID: p.Cred.UID.Real, Args: b}
	if cwd, err := os.Readlink(dir + "/cwd"); err == nil {
		program.Cwd = cwd
	}
	return program, nil
}

// readArgs is a command line, of which an engine's has at most some kB.
func readArgs(name string) ([]string, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b := make([]byte, 64<<10)
	n := 0
	for n < len(b) {
		m, err := f.Read(b[n:])
		if n += m; err != nil || m == 0 {
			break
		}
	}
	return strings.Split(strings.TrimSuffix(string(b[:n]), "\x00"), "\x00"), nil
}
