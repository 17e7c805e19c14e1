package pathwalk

import (
	"slices"

	"github.com/nsview/nsview/nsinspect"
	"github.com/nsview/nsview/nsinspect/access"
	"github.com/nsview/nsview/procscan"
	"golang.org/x/sys/unix"
)

// closed is the root of a FUSE file system without allow_other, of which the kernel tells nobody but who mounted it
// anything: not even the observer its owner and mode. That it is such a file system is what decides. For anything else
// the error of statx(2) stays.
func (r *trail) closed(fd int, where string, last bool, refused error) (sighted, error) {
	x, err := statNothing(fd)
	if err != nil || x.Mask&unix.STATX_MNT_ID == 0 {
		return sighted{}, refused
	}
	id := x.Mnt_id
	if !r.p.mountinfo {
		mounts, err := procscan.MountsOf(r.task.MntID, &r.p.buf)
		if err != nil {
			return sighted{}, refused
		}
		at := slices.IndexFunc(mounts, func(m nsinspect.Mount) bool { return uint64(m.ID) == x.Mnt_id })
		if at < 0 {
			return sighted{}, refused
		}
		id = mounts[at].UniqueID
	}
	m, err := r.mountOf(fd, id)
	if err != nil {
		return sighted{}, err
	}
	if !isFUSE(m.Super.FSType) || slices.Contains(m.Super.Options, "allow_other") {
		return sighted{}, refused
	}
	if s, ok := r.standIn(fd, id, m, where, last); ok {
		return s, nil
	}
	if x.Attributes&unix.STATX_ATTR_MOUNT_ROOT == 0 {
		return sighted{}, refused
	}
	n := &access.Node{Path: where, Type: access.Directory, Dev: devString(x.Dev_major, x.Dev_minor), Mount: m, ACLMissing: refused.Error()}
	return sighted{node: n, mountRoot: true, place: place{mount: id, dev: n.Dev}}, nil
}
