package pathwalk

import (
	"errors"
	"path"
	"strings"

	"github.com/nsview/nsview/nsinspect/access"
	"golang.org/x/sys/unix"
)

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
