package pathwalk

import (
	"fmt"
	"strings"

	"github.com/nsview/nsview/nsinspect/access"
	"golang.org/x/sys/unix"
)

const (
	maxLinks = 40   // MAXSYMLINKS
	maxPath  = 4096 // PATH_MAX, with the NUL
	maxName  = 255  // NAME_MAX
)

// trail is one walk under way.
type trail struct {
	*question
	w *access.Walk

	root, at     int // directories, opened O_PATH
	rootID, atID place
	// What [fdPath] says of root, and of what the paths of nodes start from: root, or "/" where they start with its words.
	rootText, base string
	node           *access.Node // of at
	in             int          // the directory where the last name was looked up
	found          int          // what was found by it
	stand          *standIn     // who looks where only the target may, nil so far
	awayAt         int          // where the walk is for the stand-in, see sighted
	links          int
	fds            []int
	depth          int // of interpreters
}

// place tells one directory of one mount from another.
type place struct {
	mount, inode uint64
	dev          string
}

// walk reads what is on the way to a path. dir is the text of the directory where its last name was looked up, for the
// operations that ask where that is.
func (q *question) walk(name string, last follows, depth int) (w *access.Walk, dir string, err error) {
	w = &access.Walk{Host: q.host, Path: name, Steps: []access.Lookup{}}
	switch {
	case name == "":
		w.Fail = "ENOENT"
		return w, "", nil
	case len(name) >= maxPath:
		w.Fail = "ENAMETOOLONG"
		return w, "", nil
	}
	r := &trail{question: q, w: w, depth: depth, in: -1}
	defer r.close()
	w.TrailingSlash = strings.HasSuffix(name, "/") && strings.Trim(name, "/") != ""
	ok, err := r.start(name[0] != '/')
	if err != nil {
		return nil, "", err
	}
	w.Start = r.node
	if ok {
		r.names(split(name), last, true)
	}
	if strings.Trim(name, "/") == "" {
		w.Last = "/"
	}
	return w, r.lookedUpIn(), nil
}

// start takes the walk to where it begins. It reports false when there is no such place.
func (r *trail) start(relative bool) (bool, error) {
	if r.future != nil {
		return r.startInFuture(relative), nil
	}
	var err error
	if r.root, err = r.open("root"); err != nil {
		return false, err
	}
	if r.rootText, err = r.p.fdText(r.root); err != nil {
		return false, fmt.Errorf("%s/root: %w", r.task.held.Name(), err)
	}
	if err := r.toRoot(strings.Trim(r.w.Path, "/") == ""); err != nil {
		return false, err
	}
	r.rootID = r.atID
	if !relative {
		return true, nil
	}
	if r.at, err = r.open("cwd"); err != nil {
		return false, err
	}
	text, err := r.p.fdText(r.at)
	if err != nil {
		return false, fmt.Errorf("%s/cwd: %w", r.task.held.Name(), err)
	}
	r.base = "/"
	cwd, err := r.look(r.at, text, false)
	if err != nil {
		return false, err
	}
	r.atID, r.node, r.awayAt = cwd.place, cwd.node, cwd.away
	return true, nil
}

// lookedUpIn is the text of the directory where the last name was looked up, when the operation moves that name.
func (r *trail) lookedUpIn() string {
	if !moves(r.op.Op) || r.in < 0 && r.stand == nil {
		return ""
	}
	if r.in < 0 {
		r.w.Missing = "where the directory of " + r.w.Path + " is: only the target may look"
		return ""
	}
	if r.future != nil {
		return r.w.Steps[len(r.w.Steps)-1].Dir.Path // r.in is of one layer
	}
	text, err := r.p.fdText(r.in)
	if err != nil {
		r.w.Missing = "where the directory of " + r.w.Path + " is: " + err.Error()
	}
	return text
}

func (r *trail) open(link string) (int, error) {
	fd, err := r.task.held.Open(link)
	if err != nil {
		return -1, err
	}
	r.fds = append(r.fds, fd)
	return fd, nil
}

func (r *trail) close() {
	r.p.asking.set(-1)
	if r.stand != nil {
		r.stand.close()
	}
	for _, fd := range r.fds {
		_ = unix.Close(fd)
	}
}
