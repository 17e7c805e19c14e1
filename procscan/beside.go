package procscan

import (
	"slices"

	"github.com/nsview/nsview/nsinspect"
)

// briefBeside reports whether processes beside the observer are to be read briefly: in a scan of all processes, by who asks
// for it, where ids cannot be in doubt.
func (s *scanner) briefBeside() bool {
	const asked, more = Brief | Beside, Threads | Followers | Graph | FDPins | CreatorNames
	names := s.opts.Facts&Names == 0 || s.opts.Facts&FileNames != 0 // whose ids are not looked up
	return s.opts.Facts&asked == asked && s.opts.Facts&more == 0 && names && s.opts.PIDs == nil &&
		s.samePIDs && s.snap.Observer.InitialNS
}

// beside reports whether a process, of which stat was read, is in the user, PID and mount namespace of the observer, and
// neither it nor one of Options.Programs. Such a process has one PID, is in no container and sees every file as the
// observer does, but for its root directory: its credentials and its cgroup are left out, which take half of what it takes
// to read.
func (w *worker) beside(dir, pid int, p *nsinspect.Process) bool {
	o := &w.s.snap.Observer
	if pid == o.PID || p.Kthread || p.State == "Z" || p.State == "X" || slices.Contains(w.s.opts.Programs, p.Comm) {
		return false
	}
	var set nsinspect.NamespaceSet
	if missing, err := w.namespaces(dir, w.rowLinks, &set); missing || err != nil {
		return false // whoever reads the rest says why
	}
	if set.User != o.UserNS || set.PID != o.PIDNS || set.Mnt != o.MntNS {
		return false
	}
	if w.s.opts.Facts&(Mounts|Names) != 0 {
		root, err := w.readLink(dir, w.files.root.nul)
		if err != nil {
			return false
		}
		p.Root = root
	}
	maps, err := w.s.maps.of(w, dir, set.User)
	if err != nil {
		return false
	}
	p.Namespaces, p.IDMaps, p.Cred = set, maps, noCred()
	return true
}
