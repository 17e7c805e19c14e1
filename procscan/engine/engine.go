// Package engine finds out which container a process is in, from what container engines leave on disk, in cgroups and in
// the process tree. It asks a daemon only where the files are unreadable and the daemon's socket is not, and never waits
// for one longer than a second.
//
// It goes in three steps. An [Engine] says which of its own programs and which files are evidence; the reader fetches
// those, bounded and with deadlines; [Engine.Identify] is pure and says which containers the evidence tells of. What
// outranks what is written in docs/engines.md: the first claim about a process is the one that counts, so the list of
// engines is in that order, and a process inside a container is evidence of nothing.
package engine

import (
	"cmp"
	"context"
	"path"
	"slices"
	"sync"

	"github.com/nsview/nsview/idmap"
	"github.com/nsview/nsview/nsinspect"
)

// Options says where to look.
type Options struct {
	Proc       string // where procfs is mounted, "/proc" when empty
	HostRoot   string // where the host's files are, "/" when empty
	RuntimeDir string // the observer's XDG_RUNTIME_DIR, "" without one
}

// Engine is how one container engine is recognised. Its functions are pure.
type Engine struct {
	Name string // what nsview calls it: the ENGINE of ENGINE:NAME

	// Programs are the names (comm, at most 15 bytes) of the engine's own programs. Their command lines and working
	// directories are read.
	Programs []string

	// Holds are those of Programs below which there is nothing but containers: what is there is no evidence.
	Holds []string

	// Files says what to read, given what is known so far. It is asked again while it has something new to say.
	Files func(*Evidence) []Pattern

	// Identify says which containers there are.
	Identify func(*Evidence) []Found
}

// engines lists every engine, in the order of their word: who makes a container knows more of it than the runtime it was
// made with. Each is in a file of its name.
func engines() []Engine {
	return []Engine{
		docker(),
		podman(),
		containerd(),
		crio(),
		lxc(),
		nspawn(),
		flatpak(),
		bwrap(),
		runc(),
		crun(),
		nsview(),
		cgroups(),
	}
}

// Evidence is what was read. It is plain data.
type Evidence struct {
	Snapshot *nsinspect.Snapshot
	Programs []Program // of all engines, by PID
	Files    []File    // that were read, by path
	Refused  []string  // base directories and files that the observer may not read
	Users    []User    // who may run an engine of their own

	RuntimeDir string // the observer's XDG_RUNTIME_DIR

	below map[int][]*nsinspect.Process // see children
}

// Program is a running process of an engine, outside of any container.
type Program struct {
	PID, PPID int
	Comm      string
	Args      []string
	Cwd       string       // a path on the host, "" when unreadable
	UID       idmap.Kernel // real, on the observer's side
}

// User is a user with processes or a runtime directory on the host.
type User struct {
	UID  uint32
	Name string
	Home string // a path on the host
}

// Pattern asks for files.
type Pattern struct {
	// Glob is a path on the host. The directories before the first meta character are taken as they are, symbolic links
	// included; what matches below them is reached without any.
	Glob string

	// Owner is the uid whose word the files are. A file that is neither its nor root's, or that others may write, is not
	// read.
	Owner uint32

	// Get asks a daemon instead: Glob is the path of its unix socket, and Get the path of an HTTP request.
	Get string

	// Of says whose state it is, where an engine has several: what the files of one refuse, its daemon may answer.
	Of string
}

// File is a file that was read, or the answer of a daemon.
type File struct {
	Path string // on the host
	Get  string // of the Pattern
	By   uint32 // whose word it is: Owner of the Pattern
	Data []byte
}

// Found is a claim and who makes it.
type Found struct {
	nsinspect.Claim

	// By is the uid whose word it is. Root may speak for every process, others only for those in user namespaces of
	// theirs.
	By uint32

	madeIn string // the cgroup above the one that the claim rests on
}

// Claims asks every engine for its containers. A claim with a process is about one that is in snap and was not reused
// since; nsinspect.Group takes the claims.
func Claims(ctx context.Context, snap *nsinspect.Snapshot, o Options) ([]nsinspect.Claim, []nsinspect.Gap) {
	if o.Proc == "" {
		o.Proc = "/proc"
	}
	if o.HostRoot == "" {
		o.HostRoot = "/"
	}
	list := engines()
	r := newReader(ctx, o, snap)
	e := &Evidence{Snapshot: snap, RuntimeDir: o.RuntimeDir}
	e.Programs = r.programs(list)
	e.Users = r.users(e.Programs)
	r.files(list, e)
	mounts := sync.OnceValue(func() []string { return cgroupMounts(o.HostRoot) }) // most claims need none
	claims := judge(list, e, func(f *Found) bool {
		if f.madeIn != "" && !disown(f, mounts()) {
			return false
		}
		owns, gap := believed(ctx, snap, f, o)
		if gap != nil {
			r.gaps = append(r.gaps, *gap)
		}
		return owns
	})
	if o.HostRoot != "/" {
		reach(claims, o.HostRoot)
	}
	return claims, r.gaps
}

// reach makes the sources of mounts, which engines name as paths on the host, paths as the observer reaches them.
func reach(claims []nsinspect.Claim, hostRoot string) {
	for i := range claims {
		if s := claims[i].Start; s != nil && s.Rootfs != "" {
			s.Rootfs = path.Join(hostRoot, s.Rootfs)
		}
		for j := range claims[i].Mounts {
			if m := &claims[i].Mounts[j]; path.IsAbs(m.Source) {
				m.Source = path.Join(hostRoot, m.Source)
			}
		}
	}
}

// judge lists the claims that hold, the strongest first: root's, by engine, and then those of others. may says whether who
// makes a claim may speak for its process.
//
// Several claims about one container of one user are one. What another user says of a container that root knows is not
// taken, not even when it is not running.
func judge(list []Engine, e *Evidence, may func(*Found) bool) []nsinspect.Claim {
	type container struct {
		engine, id string
		by         uint32
	}
	var claims []nsinspect.Claim
	of := make(map[container]int)    // to the claim
	taken := make(map[int]container) // by PID
	var found []Found
	for _, engine := range list {
		for _, f := range engine.Identify(e) {
			f.Engine = engine.nameOf(&f)
			found = append(found, f)
		}
	}
	slices.SortStableFunc(found, func(a, b Found) int { return cmp.Compare(min(a.By, 1), min(b.By, 1)) })
	for _, f := range found {
		if f.InitPID != 0 && !e.startTime(&f) {
			f.InitPID, f.State = 0, "stopped" // the record is older than the end of its process
		}
		if f.InitPID != 0 && !may(&f) {
			continue
		}
		key := container{f.Engine, f.ID, f.By}
		if _, known := of[container{f.Engine, f.ID, 0}]; known && f.By != 0 {
			continue
		}
		if first, ok := taken[f.InitPID]; ok && f.InitPID != 0 && first != key {
			continue // a runtime's record of an engine's container
		}
		taken[f.InitPID] = key
		if at, known := of[key]; known {
			complete(&claims[at], &f.Claim)
			continue
		}
		of[key] = len(claims)
		claims = append(claims, f.Claim)
	}
	return claims
}

// nameOf is the engine of a claim: an engine that only recognises what others left says which it was.
func (e *Engine) nameOf(f *Found) string {
	if f.Engine != "" {
		return f.Engine
	}
	return e.Name
}

// complete adds to a claim what weaker evidence about the same container has.
func complete(claim, other *nsinspect.Claim) {
	if claim.InitPID == 0 && other.InitPID != 0 {
		claim.InitPID, claim.StartTime, claim.State = other.InitPID, other.StartTime, other.State
	}
	if claim.Name == "" {
		claim.Name = other.Name
	}
	switch {
	case claim.Pod == nil:
		claim.Pod = other.Pod
	case claim.Pod.UID == "" && other.Pod != nil:
		pod := *claim.Pod
		pod.UID = other.Pod.UID
		claim.Pod = &pod
	}
	if len(claim.Chain) == 0 {
		claim.Chain = other.Chain
	}
}

// startTime fills in the start time of a claim's process, and reports whether the claim can be about it: a record that
// tells the start time must have that of the process that is there now; for one that does not, a cgroup or a program of
// the engine above the process must name the container. A process that sees the observer's own mounts is in none, whoever
// says so: only nsview run starts containers without a mount namespace.
func (e *Evidence) startTime(f *Found) bool {
	p := e.Snapshot.Process(f.InitPID)
	if p == nil || p.StartTime == 0 {
		return false
	}
	if own := e.Snapshot.Observer.MntNS; own != 0 && p.Namespaces.Mnt == own && f.Engine != nsviewName {
		return false
	}
	if f.StartTime == 0 && (cgroupNames(p.Cgroup, f.ID) || e.programNames(p, f.ID, f.Name)) {
		f.StartTime = p.StartTime
	}
	return f.StartTime == p.StartTime
}

// clientRuntimeDir is where an ordinary user's engines keep what does not outlive a reboot, unless XDG_RUNTIME_DIR says
// otherwise.
func clientRuntimeDir(uid uint32) string { return "/run/user/" + itoa(uid) }
