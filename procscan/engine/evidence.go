package engine

import (
	"path"
	"slices"
	"strings"

	"github.com/nsview/nsview/idmap"
	"github.com/nsview/nsview/nsinspect"
)

// self is the observer's uid as files show it.
func (e *Evidence) self() uint32 { return uint32(e.Snapshot.Observer.UID) }

// program is the engine program with that PID, nil when it is none.
func (e *Evidence) program(pid int) *Program {
	i, ok := slices.BinarySearchFunc(e.Programs, pid, func(p Program, pid int) int { return p.PID - pid })
	if !ok {
		return nil
	}
	return &e.Programs[i]
}

// named lists the engine programs with one of these names.
func (e *Evidence) named(comms ...string) []*Program {
	var found []*Program
	for i := range e.Programs {
		if slices.Contains(comms, e.Programs[i].Comm) {
			found = append(found, &e.Programs[i])
		}
	}
	return found
}

// matching lists the files that were read whose path matches a glob pattern.
func (e *Evidence) matching(glob string) []*File {
	var found []*File
	below := base(glob)
	for i := e.fileAt(below); i < len(e.Files) && strings.HasPrefix(e.Files[i].Path, below); i++ {
		if ok, err := path.Match(glob, e.Files[i].Path); ok && err == nil {
			found = append(found, &e.Files[i])
		}
	}
	return found
}

// sortFiles brings the files in the order in which they are looked up; of one path, in the order they were read.
func (e *Evidence) sortFiles() {
	slices.SortStableFunc(e.Files, func(a, b File) int { return strings.Compare(a.Path, b.Path) })
}

// fileAt is the index of the first file whose path is name or after it.
func (e *Evidence) fileAt(name string) int {
	at, _ := slices.BinarySearchFunc(e.Files, name, func(f File, name string) int { return strings.Compare(f.Path, name) })
	return at
}

// fileBy is the file with that path as the word of one user, nil when it is not.
func (e *Evidence) fileBy(name string, uid uint32) *File {
	for i := e.fileAt(name); i < len(e.Files) && e.Files[i].Path == name; i++ {
		if e.Files[i].By == uid && e.Files[i].Get == "" {
			return &e.Files[i]
		}
	}
	return nil
}

// user is what is known of a user, nil when nothing is.
func (e *Evidence) user(uid uint32) *User {
	for i := range e.Users {
		if e.Users[i].UID == uid {
			return &e.Users[i]
		}
	}
	return nil
}

// refused reports whether the observer may not read a directory or file, or one that it is in.
func (e *Evidence) refused(name string) bool {
	return slices.ContainsFunc(e.Refused, func(r string) bool { return r == name || strings.HasPrefix(name, r+"/") })
}

// ancestors lists the processes above p, the nearest first. It ends at a parent that the snapshot does not have.
func (e *Evidence) ancestors(p *nsinspect.Process) []*nsinspect.Process {
	var list []*nsinspect.Process
	for up := e.Snapshot.Process(p.PPID); up != nil && len(list) < len(e.Snapshot.Processes); up = e.Snapshot.Process(up.PPID) {
		list = append(list, up)
	}
	return list
}

// above is the chain of the nearest ancestor of p with that name.
func (e *Evidence) above(p *nsinspect.Process, comm, role string) []nsinspect.ChainLink {
	for _, up := range e.ancestors(p) {
		if up.Comm == comm {
			return []nsinspect.ChainLink{link(up.PID, up.Comm, role)}
		}
	}
	return nil
}

func link(pid int, comm, role string) nsinspect.ChainLink {
	return nsinspect.ChainLink{PID: pid, Comm: comm, Role: role}
}

// init is the process among those that match that stands for a container: PID 1 inside, else the oldest. Nil without any.
func (e *Evidence) init(match func(*nsinspect.Process) bool) *nsinspect.Process {
	var best *nsinspect.Process
	for i := range e.Snapshot.Processes {
		p := &e.Snapshot.Processes[i]
		if p.Kthread || !match(p) {
			continue
		}
		if precedes(p, best) {
			best = p
		}
	}
	return best
}

// precedes reports whether p stands for a container rather than best, which may be nil.
func precedes(p, best *nsinspect.Process) bool {
	return best == nil || isInit(p) && !isInit(best) || isInit(p) == isInit(best) && p.StartTime < best.StartTime
}

func isInit(p *nsinspect.Process) bool { return len(p.PIDs) > 1 && p.PIDs[len(p.PIDs)-1] == 1 }

// children lists the processes whose parent is the engine program with that PID.
func (e *Evidence) children(pid int) []*nsinspect.Process {
	if e.below == nil {
		e.below = make(map[int][]*nsinspect.Process)
		for i := range e.Snapshot.Processes {
			if p := &e.Snapshot.Processes[i]; e.program(p.PPID) != nil {
				e.below[p.PPID] = append(e.below[p.PPID], p)
			}
		}
	}
	return e.below[pid]
}

// programNames reports whether the nearest engine program above p has the container's id, or its name, as an argument.
func (e *Evidence) programNames(p *nsinspect.Process, id, name string) bool {
	for _, up := range e.ancestors(p) {
		if program := e.program(up.PID); program != nil {
			return slices.ContainsFunc(program.Args, func(arg string) bool {
				return id != "" && arg == id || name != "" && arg == name
			})
		}
	}
	return false
}

// cgroupNames reports whether a cgroup path has a component that is the id of a container, or has it between marks as
// engines put it: docker-ID.scope, lxc.payload.NAME.
func cgroupNames(cgroup, id string) bool {
	if id == "" {
		return false
	}
	for part := range strings.SplitSeq(cgroup, "/") {
		part = strings.TrimSuffix(part, ".scope")
		if part == id || strings.HasSuffix(part, "-"+id) || strings.HasSuffix(part, "."+id) {
			return true
		}
	}
	return false
}

// flag is the value of a command-line flag: --name VALUE or --name=VALUE, with one or two dashes. "" without it.
func (p *Program) flag(names ...string) string {
	for i, arg := range p.Args {
		for _, name := range names {
			rest, ok := strings.CutPrefix(arg, "-"+name)
			if !ok {
				rest, ok = strings.CutPrefix(arg, "--"+name)
			}
			switch {
			case !ok:
			case rest == "" && i+1 < len(p.Args):
				return p.Args[i+1]
			case strings.HasPrefix(rest, "="):
				return rest[1:]
			}
		}
	}
	return ""
}

// quoteGlob is a path as a glob pattern that matches only it.
func quoteGlob(name string) string {
	if !strings.ContainsAny(name, globMeta) {
		return name
	}
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(name)
}

// globMeta are the characters that mean something in a pattern.
const globMeta = `*?[\`

// plainComponent reports whether name is one component of a path, and no pattern.
func plainComponent(name string) bool {
	return name != "" && name != "." && name != ".." && !strings.ContainsAny(name, "/"+globMeta)
}

// firstChildren are the containers of programs that are the parents of their first processes, by the PIDs of the
// programs: PID 1 inside, else the oldest of the children that are in other namespaces than the program.
func (e *Evidence) firstChildren() map[int]*nsinspect.Process {
	first := make(map[int]*nsinspect.Process)
	for i := range e.Snapshot.Processes {
		if p := &e.Snapshot.Processes[i]; e.program(p.PPID) != nil && e.apart(p) && precedes(p, first[p.PPID]) {
			first[p.PPID] = p
		}
	}
	return first
}

// apart reports whether a process is in another PID, mount or user namespace than its parent, by whatever is readable.
func (e *Evidence) apart(p *nsinspect.Process) bool {
	up := e.Snapshot.Process(p.PPID)
	if up == nil {
		return len(p.PIDs) > 1
	}
	differ := func(a, b nsinspect.Inode) bool { return a != 0 && b != 0 && a != b }
	a, b := &p.Namespaces, &up.Namespaces
	return len(p.PIDs) > len(up.PIDs) || differ(a.Mnt, b.Mnt) || differ(a.PID, b.PID) || differ(a.User, b.User)
}

// mapsOf are the id maps of the user namespace that an engine runs in: those of its program, and without one, for root's
// and an observer in the initial user namespace, that every id is itself. nil when they are unknown.
func (e *Evidence) mapsOf(owner uint32, program *Program) *nsinspect.IDMaps {
	if program != nil {
		if p := e.Snapshot.Process(program.PID); p != nil && e.Snapshot.Maps(p.IDMaps) != nil {
			return e.Snapshot.Maps(p.IDMaps)
		}
	}
	if owner == 0 && e.Snapshot.Observer.InitialNS {
		return &nsinspect.IDMaps{UID: idmap.Identity(), GID: idmap.Identity()}
	}
	return nil
}

// composed are the maps that an engine gives a container, with the observer's ids outside: own are those of the user
// namespace that the engine runs in, which a container without maps shares.
func composed(own *nsinspect.IDMaps, uid, gid idmap.Map) (u, g idmap.Map) {
	switch {
	case own == nil:
		return nil, nil
	case uid == nil && gid == nil:
		return own.UID, own.GID
	}
	return idmap.Compose(uid, own.UID), idmap.Compose(gid, own.GID)
}
