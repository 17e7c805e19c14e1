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
	net, netErr := p.nsOf(t.held, nsinspect.Net)
	s := &access.Sysctl{NetOwner: net.owner}
	if ipc, err := p.nsOf(t.held, nsinspect.IPC); err == nil {
		s.IPCOwner = ipc.owner
	}
	// Whose settings nsview itself sees is not --proc's to say.
	if self, err := procscan.Hold("/proc", "self"); err == nil {
		own, err := self.NS(nsinspect.Net)
		s.SameNet = err == nil && netErr == nil && own == net.inode
		self.Close()
	}
	return s
}
