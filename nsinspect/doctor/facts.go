package doctor

import (
	"github.com/nsview/nsview/idmap"
	"github.com/nsview/nsview/nsinspect"
	"github.com/nsview/nsview/nsinspect/access"
)

// Facts are what [Judge] judges: a snapshot with mounts and names, and what was fetched for a [Plan].
type Facts struct {
	Snapshot   *nsinspect.Snapshot
	Containers []int // that are looked at, indices in Snapshot.Containers

	// Host says that the findings about the host itself are wanted too.
	Host     bool
	SubUID   idmap.SubIDs // /etc/subuid
	SubGID   idmap.SubIDs // /etc/subgid
	Newidmap []Program    // newuidmap and newgidmap, those that are installed

	Answers []Answer
	Counts  []Count
	Samples []Sample
	Hidden  []Hidden

	Asked []Asked // paths that were to be stored in the snapshot; nothing is found in them

	// Fix says what would allow what was denied; nil offers nothing.
	Fix func(*access.Subject, *access.Walk, access.Operation, access.Verdict) []access.Fix
}

// Program is an installed newuidmap or newgidmap.
type Program struct {
	Name     string // newuidmap, newgidmap
	Path     string
	SetID    bool // set-user-ID root, on a mount that honours it
	FileCaps bool // it has the capability that it needs as a file capability
}

// Answer is how one path of a container resolves for one subject.
type Answer struct {
	Container int             `json:"container"` // index in Snapshot.Containers
	Path      string          `json:"path"`      // in the container
	Primary   bool            `json:"primary"`   // the subject is whom the container is there for: its configured user or its first process
	Subject   *access.Subject `json:"subject"`
	Walk      *access.Walk    `json:"walk"`
}

// Asked is how one path resolves for one subject and one of [access.StoredOps].
type Asked struct {
	Container int             `json:"container"` // index in Snapshot.Containers, -1 for a process of the host
	Op        access.Op       `json:"op"`
	Subject   *access.Subject `json:"subject"`
	Walk      *access.Walk    `json:"walk"`
}

// Stored is the walk of a path that was stored for an operation and a process, or for a container that is not running when
// pid is 0. Nil when there is none.
func (f *Facts) Stored(container, pid int, path string, op access.Op) (*access.Subject, *access.Walk) {
	as := access.StoredAs(op)
	for i := range f.Asked {
		a := &f.Asked[i]
		if a.Op == as && a.Walk.Path == path && a.Subject.PID == pid && (pid > 0 || a.Container == container) {
			return a.Subject, a.Walk
		}
	}
	for i := range f.Answers { // the process itself comes before other users in its place
		a := &f.Answers[i]
		if as == access.OpEaccess && a.Walk.Path == path && a.Subject.PID == pid && a.Container == container {
			return a.Subject, a.Walk
		}
	}
	return nil, nil
}

// Count is how many files of a volume have one owner pair and one mode.
type Count struct {
	Container int                `json:"container"`
	Path      string             `json:"path"` // of the volume, in the container
	Files     uint64             `json:"files"`
	Mode      uint32             `json:"mode"` // with the type, as stat(2) has it
	OnDisk    nsinspect.DiskIDs  `json:"on_disk"`
	Host      nsinspect.OwnerIDs `json:"host"` // on the observer's side, as the container's mount shows them

	// UID and GID are the ids inside, unmapped when the container has none for them. Unknown is true when that could not be
	// told.
	UID     idmap.Inside `json:"uid"`
	GID     idmap.Inside `json:"gid"`
	Unknown bool         `json:"unknown"`
	Example string       `json:"example"` // one of the files, as a path in the container

	// Partial: the time budget ended before the tree did.
	Partial bool `json:"partial"`
}

// Sample is one file of a volume and how it resolves for one subject, for all those that are counted with it.
type Sample struct {
	Container int             `json:"container"`
	Path      string          `json:"path"`  // of the volume, in the container
	Files     uint64          `json:"files"` // that have its owner and its mode
	Of        uint64          `json:"of"`    // files of the volume
	Partial   bool            `json:"partial"`
	Subject   *access.Subject `json:"subject"`
	Walk      *access.Walk    `json:"walk"`
}

// Hidden is what an image has where a volume is mounted.
type Hidden struct {
	Container int      `json:"container"`
	Path      string   `json:"path"`  // of the volume, in the container
	Layer     string   `json:"layer"` // the directory below, as the host has it
	Names     []string `json:"names"` // entries that the volume does not have, a few
	More      bool     `json:"more"`  // there are more than these
}

// decider is [access.Decide].
type decider func(*access.Subject, *access.Walk, access.Operation) access.Verdict

// judge is one judgement.
type judge struct {
	*Facts
	decide  decider
	s       *nsinspect.Snapshot
	viewers []string
	vols    map[int][]nsinspect.Volume // of the containers that were asked about
	found   []Finding
	gaps    []nsinspect.Gap
}

// Judge finds what is wrong. What could not be told is a gap.
func Judge(f *Facts) ([]Finding, []nsinspect.Gap) { return judgeBy(f, access.Decide) }

// judgeBy is Judge with another engine.
func judgeBy(f *Facts, decide decider) ([]Finding, []nsinspect.Gap) {
	j := &judge{Facts: f, decide: decide, s: f.Snapshot, viewers: f.Snapshot.Viewers(), vols: map[int][]nsinspect.Volume{}, found: []Finding{}}
	if f.Host {
		j.subIDOverlap()
		j.newidmapRights()
	}
	for _, i := range f.Containers {
		j.hostRoot(i)
		j.groupsUnmapped(i)
		j.volumeAccess(i)
		j.files(i)
		j.readOnly(i)
		j.names(i)
		j.groupsDropped(i)
		j.owners(i)
		j.hidden(i)
	}
	j.sharedIDs()
	return sorted(j.found), j.gaps
}

// add adds a finding, which has a list of fixes also when there is none.
func (j *judge) add(f Finding) {
	if f.Fixes == nil {
		f.Fixes = []access.Fix{}
	}
	j.found = append(j.found, f)
}

func (j *judge) container(i int) *nsinspect.Container { return &j.s.Containers[i] }
