package pathwalk

import (
	"github.com/nsview/nsview/nsinspect"
	"github.com/nsview/nsview/nsinspect/access"
	"github.com/nsview/nsview/procscan"
)

// settings is what /proc/sys is to a process, nil when its walk does not end in procfs.
func (p *probe) settings(t *taskNow, w *access.Walk) *access.Sysctl {
	if len(w.Steps) == 0 || w.Steps[len(w.Steps)-1].Dir.Mount.Super.FSType != "proc" {
		return nil
	}
	owner := func(kind nsinspect.Type) (inode, owner nsinspect.Inode) {
		inode, err := t.held.NS(kind)
		if err != nil {
			return 0, 0
		}
		pin, err := p.pin(t.held, kind, inode)
		if err != nil {
			return inode, 0
		}
		return inode, pin.owner
	}
	s := &access.Sysctl{}
	net, netOwner := owner(nsinspect.Net)
	s.NetOwner = netOwner
	_, s.IPCOwner = owner(nsinspect.IPC)
	// Whose settings nsview itself sees is not --proc's to say.
	if self, err := procscan.Hold("/proc", "self"); err == nil {
		own, err := self.NS(nsinspect.Net)
		s.SameNet = err == nil && own == net
		self.Close()
	}
	return s
}
