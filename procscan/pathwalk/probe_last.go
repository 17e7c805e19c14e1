package pathwalk

import (
	"encoding/binary"
	"errors"
	"io"
	"os"
	"strings"

	"github.com/nsview/nsview/idmap"
	"github.com/nsview/nsview/nsinspect/access"
	"golang.org/x/sys/unix"
)

// lookLast reads what only an operation on the last name asks of it.
func (r *trail) lookLast(n *access.Node, self string) {
	switch op := r.op.Op; {
	case deletes(op):
		if n.Type == access.Directory {
			n.Empty = emptyDir(self)
		}
	case op == access.OpGetxattr, op == access.OpSetxattr:
		n.Xattrs, n.XattrsMissing = xattrs(self)
		_, err := unix.Getxattr(self, r.op.Name, nil)
		n.NoXattr = errors.Is(err, unix.EOPNOTSUPP)
		if r.op.Name == "security.capability" {
			n.Caps, n.CapsMissing = fileCaps(self)
		}
	case op == access.OpExec:
		if n.Type == access.Regular {
			n.Caps, n.CapsMissing = fileCaps(self)
			n.Exec = r.program(self, n.Path)
		}
	}
}

func emptyDir(self string) access.Fact {
	f, err := os.OpenFile(self, os.O_RDONLY|unix.O_DIRECTORY|unix.O_NONBLOCK, 0)
	if err != nil {
		return access.NotTold
	}
	defer f.Close()
	_, err = f.Readdirnames(1)
	if err != nil && !errors.Is(err, io.EOF) {
		return access.NotTold
	}
	return access.FactOf(err != nil)
}

func xattrs(self string) ([]string, string) {
	buf := make([]byte, maxXattr)
	k, err := unix.Listxattr(self, buf)
	if err != nil && !errors.Is(err, unix.EOPNOTSUPP) {
		return nil, err.Error()
	}
	return strings.FieldsFunc(string(buf[:max(k, 0)]), func(c rune) bool { return c == 0 }), ""
}

// fileCaps reads security.capability (struct vfs_ns_cap_data in include/uapi/linux/capability.h).
func fileCaps(self string) (*access.FileCaps, string) {
	b := make([]byte, 64)
	k, err := unix.Getxattr(self, "security.capability", b)
	switch {
	case errors.Is(err, unix.ENODATA), errors.Is(err, unix.EOPNOTSUPP):
		return nil, ""
	case errors.Is(err, unix.EOVERFLOW): // set for a root that the mount shows nobody
		return &access.FileCaps{Revision: 3, RootID: idmap.UnmappedKernel}, ""
	case err != nil:
		return nil, err.Error()
	case k < 20:
		return nil, "a revision that nsview does not know"
	}
	le := binary.LittleEndian
	magic := le.Uint32(b)
	c := &access.FileCaps{
		Revision: int(magic >> 24), Effective: magic&1 != 0,
		Permitted:   uint64(le.Uint32(b[4:])) | uint64(le.Uint32(b[12:]))<<32,
		Inheritable: uint64(le.Uint32(b[8:])) | uint64(le.Uint32(b[16:]))<<32,
	}
	if c.Revision == 3 && k >= 24 {
		c.RootID = idmap.Kernel(le.Uint32(b[20:]))
	}
	return c, ""
}
