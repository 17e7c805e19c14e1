package doctor

import (
	"slices"

	"github.com/nsview/nsview/idmap"
	"github.com/nsview/nsview/nsinspect"
	"github.com/nsview/nsview/nsinspect/access"
)

// Plan is what [Judge] needs to know of some containers: every subject of a container is asked about every path of it.
type Plan struct {
	Subjects []SubjectAsk
	Paths    []PathAsk
}

// SubjectAsk is somebody whose access is asked.
type SubjectAsk struct {
	Container int
	Target    string // how evidence and commands name it
	Primary   bool

	// PID is the process that is asked about; 0 for a container that is not running. With User it is another user in the
	// place of that process.
	PID  int
	User string
}

// PathAsk is a path of a container that is asked about. Count says that the owners of the tree are wanted too, and Hides
// what the container's own file system has there.
type PathAsk struct {
	Container int
	Path      string
	Volume    nsinspect.Volume // what is mounted there, none for a device
	Count     bool
	Hides     bool
}

// PID is the first process of the container, 0 when it is not running.
func (p *PathAsk) PID(s *nsinspect.Snapshot) int { return s.Containers[p.Container].InitPID }

// PathsOf are the paths that are asked about in a container.
func (p *Plan) PathsOf(container int) []string {
	var paths []string
	for i := range p.Paths {
		if p.Paths[i].Container == container {
			paths = append(paths, p.Paths[i].Path)
		}
	}
	return paths
}

// WalkFor is the operation whose facts answer all questions about a path.
func WalkFor() access.Operation {
	return eaccess("rwx")
}

// Known reports whether somebody with the same credentials was asked about already.
func Known(asked []*access.Subject, s *access.Subject) bool {
	return slices.ContainsFunc(asked, func(o *access.Subject) bool {
		return o.Cred.UID.FS == s.Cred.UID.FS && o.Cred.GID.FS == s.Cred.GID.FS && o.Cred.CapEff == s.Cred.CapEff && o.UserNS == s.UserNS && o.MntNS == s.MntNS &&
			slices.Equal(o.Cred.Groups, s.Cred.Groups)
	})
}

// maxSubjects bounds the processes with credentials of their own that are asked about in one container: anybody in it can
// make as many as there are ids.
const maxSubjects = 16

// NewPlan asks for what is to be known of containers, by their indices.
func NewPlan(s *nsinspect.Snapshot, containers []int) Plan {
	var p Plan
	viewers := s.Viewers()
	for _, i := range containers {
		p.Subjects = append(p.Subjects, subjects(s, i, viewers[i])...)
		c := &s.Containers[i]
		volumes := Volumes(s, i)
		for _, v := range volumes {
			p.Paths = append(p.Paths, PathAsk{Container: i, Path: v.Point, Volume: v, Count: v.Idmapped || mapsIDs(s, i), Hides: c.Running()})
		}
		if !c.Running() || c.Engine == "" || c.Engine == "nsview" {
			continue
		}
		for _, device := range deviceNodes() {
			if volumeAt(volumes, device) == nil && ownDev(s, c) {
				p.Paths = append(p.Paths, PathAsk{Container: i, Path: device})
			}
		}
	}
	return p
}

// mapsIDs reports whether a container may see files whose owner it has no id for.
func mapsIDs(s *nsinspect.Snapshot, container int) bool {
	c := &s.Containers[container]
	if maps := s.Maps(c.IDMaps); maps != nil {
		return !(maps.UID.Equal(idmap.Identity()) && maps.GID.Equal(idmap.Identity()))
	}
	return c.Running() || len(c.UIDMap) > 0
}

// ownDev reports whether a container has a /dev of its own, in which only what it was given is.
func ownDev(s *nsinspect.Snapshot, c *nsinspect.Container) bool {
	table := s.Mounts(c.MountTable)
	return table != nil && slices.ContainsFunc(table.Mounts, func(m nsinspect.Mount) bool { return m.Point == "/dev" && m.FSType == "tmpfs" })
}

// credKey tells subjects of one container apart.
type credKey struct {
	uid, gid idmap.Kernel
	groups   string
	caps     uint64
	user     nsinspect.Inode
	root     int // mount table
}

func subjects(s *nsinspect.Snapshot, container int, viewer string) []SubjectAsk {
	c := &s.Containers[container]
	if !c.Running() {
		return []SubjectAsk{{Container: container, Target: viewer, Primary: true}}
	}
	list := []SubjectAsk{{Container: container, Target: viewer, Primary: true, PID: c.InitPID}}
	if c.User != "" {
		list = append(list, SubjectAsk{Container: container, Target: viewer, Primary: true, PID: c.InitPID, User: c.User})
	}
	seen := map[credKey]bool{}
	if init := s.Process(c.InitPID); init != nil {
		seen[keyOf(init)] = true
	}
	for i := range s.Processes {
		p := &s.Processes[i]
		if p.Container != container || p.PID == c.InitPID || len(list) == maxSubjects || p.State == "Z" {
			continue
		}
		if k := keyOf(p); !seen[k] {
			seen[k] = true
			list = append(list, SubjectAsk{Container: container, Target: viewer, PID: p.PID})
		}
	}
	return list
}

func keyOf(p *nsinspect.Process) credKey {
	var groups []byte
	for _, g := range p.Cred.Groups {
		groups = append(append(groups, g.String()...), ' ')
	}
	return credKey{p.Cred.UID.FS, p.Cred.GID.FS, string(groups), p.Cred.CapEff, p.Namespaces.User, p.MountTable}
}
