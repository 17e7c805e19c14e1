package pathwalk

import (
	"errors"
	"path"
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
		return false, err
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
		return false, err
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

func split(name string) []string {
	return strings.FieldsFunc(name, func(c rune) bool { return c == '/' })
}

// names looks one name after the other up. It reports false when the walk has ended for good.
func (r *trail) names(list []string, last follows, trailing bool) bool {
	for i, name := range list {
		final := i == len(list)-1
		lookup := access.Lookup{Dir: r.node, Name: name, Trailing: final && trailing}
		if final && trailing && (name == "." || name == "..") {
			r.w.Last = name
		}
		rest := list[i+1:]
		if len(name) > maxName {
			r.w.Steps = append(r.w.Steps, lookup)
			r.w.Fail, r.w.Rest = "ENAMETOOLONG", rest
			return false
		}
		fd, file, err := r.lookup(name, final && trailing)
		switch {
		case errors.Is(err, unix.ENOENT):
			r.w.Steps = append(r.w.Steps, lookup)
			r.w.Rest = rest
			return false
		case errors.Is(err, unix.EROFS) && r.node.Mount.Super.FSType == "overlay":
			r.w.Steps = append(r.w.Steps, lookup)
			r.w.Fail, r.w.Rest = "EROFS", rest
			return false
		case err != nil:
			r.w.Missing = "what is at " + path.Join(r.node.Path, name) + ": " + err.Error()
			r.w.Rest = rest
			r.w.Steps = append(r.w.Steps, access.Lookup{Dir: r.node, Name: name, Found: &access.Node{Path: path.Join(r.node.Path, name), Type: access.Directory, Mount: r.node.Mount}})
			return false
		}
		lookup.Found = file.node
		if file.node.Type == access.Symlink && (!final || !trailing || last == followLast || last == stayOnLink && r.w.TrailingSlash && r.op.Op != access.OpCreate) {
			lookup.Followed = true
			r.w.Steps = append(r.w.Steps, lookup)
			if !r.followLink(file, final, trailing, last, rest) {
				return false
			}
			continue
		}
		if file.magic && r.op.Op == access.OpReadlink {
			if err := r.magic(&lookup); err != nil {
				r.w.Missing = "whose link " + file.node.Path + " is: " + err.Error()
			}
		}
		r.w.Steps = append(r.w.Steps, lookup)
		if file.node.Type != access.Directory {
			if !final {
				r.w.Rest = rest
			}
			return false
		}
		r.at, r.atID, r.node, r.awayAt = fd, file.place, file.node, file.away
	}
	return true
}

// followLink goes on with the text of a symbolic link.
func (r *trail) followLink(link sighted, final, trailing bool, last follows, rest []string) bool {
	fail := func(errno access.Errno) bool {
		r.w.Fail, r.w.Rest = errno, rest
		return false
	}
	if r.links++; r.links > maxLinks {
		return fail("ELOOP")
	}
	if link.magic {
		return r.followMagic(link, final, trailing, rest)
	}
	text := link.node.Link
	if text == "" {
		return fail("ENOENT")
	}
	if text[0] == '/' {
		if err := r.toRoot(final && trailing && strings.Trim(text, "/") == ""); err != nil {
			r.w.Missing = err.Error()
			return false
		}
	}
	names := split(text)
	if len(names) == 0 {
		r.w.Steps[len(r.w.Steps)-1].End = r.node
		return true
	}
	if final && trailing && strings.HasSuffix(text, "/") {
		r.w.TrailingSlash = true
	}
	if !r.names(names, last, final && trailing) {
		if !final && r.w.Fail == "" && r.w.Missing == "" {
			r.w.Rest = append(r.w.Rest, rest...)
		}
		return false
	}
	return true
}

// toRoot takes the walk to the root of whoever walks. last says that the walk ends there.
func (r *trail) toRoot(last bool) error {
	if r.future != nil {
		root, err := r.back("/", last)
		r.at, r.atID, r.node = root.fd, root.place, root.node
		return err
	}
	r.base = r.rootText
	root, err := r.look(r.root, "/", last)
	if err != nil {
		return err
	}
	r.at, r.atID, r.node, r.awayAt = r.root, root.place, root.node, root.away
	return nil
}

// lookup opens one name in the directory where the walk is, without following it.
func (r *trail) lookup(name string, last bool) (int, sighted, error) {
	if r.future != nil {
		return r.inFuture(name, last)
	}
	where := path.Join(r.node.Path, name)
	r.in = r.at
	if name == "." || name == ".." && r.atID == r.rootID {
		s, err := sighted{node: r.node, place: r.atID, away: r.awayAt}, error(nil)
		if last && r.awayAt > 0 {
			return r.lookupAway("", r.node.Path, true)
		}
		if last { // more is asked of it now than when it was on the way
			s, err = r.look(r.at, r.node.Path, true)
		}
		return r.at, s, err
	}
	if r.awayAt > 0 {
		r.in = -1
		return r.lookupAway(name, where, last)
	}
	if err := r.p.askOf(r.at); err != nil {
		return -1, sighted{}, err
	}
	fd, err := unix.Openat(r.at, name, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if errors.Is(err, unix.EACCES) && nobodys(r.node) {
		fd, err = r.openAsTarget(name)
	}
	if err != nil {
		return -1, sighted{}, err
	}
	r.fds = append(r.fds, fd)
	s, err := r.look(fd, where, last)
	if err == nil && last && deletes(r.op.Op) {
		r.victim(&s, name)
	}
	if err == nil && s.node.Mount.Super.FSType == "proc" {
		err = r.inProc(&s, fd, name)
	}
	return fd, s, err
}
