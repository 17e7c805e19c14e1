package procscan

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unsafe"

	"github.com/nsview/nsview/idmap"
	"golang.org/x/sys/unix"
)

// What statmount(2) can be asked for (include/uapi/linux/mount.h); golang.org/x/sys does not name them.
const (
	statmountSBBasic       = 0x1
	statmountMntBasic      = 0x2
	statmountMntRoot       = 0x8
	statmountMntPoint      = 0x10
	statmountFSType        = 0x20
	statmountMntOpts       = 0x80   // Linux 6.11
	statmountMntUIDMap     = 0x2000 // Linux 6.15
	statmountMntGIDMap     = 0x4000
	statmountIDMaps        = statmountMntUIDMap | statmountMntGIDMap
	maxMountDepth          = 100_000    // fs.mount-max: no chain of parents is longer
	listmountRoot          = ^uint64(0) // LSMT_ROOT: the root mount of the namespace
	mountAttrIdmap         = 0x100000   // MOUNT_ATTR_IDMAP
	listmountBatch         = 512
	statmountHeader        = 512      // size of struct statmount without its strings
	statmountFirst         = 4 << 10  // a first guess at the size of an answer
	statmountMax           = 16 << 20 // the kernel refuses a larger one
	mntIDReqSize       int = 32       // MNT_ID_REQ_SIZE_VER1, which has mnt_ns_id (Linux 6.11)
)

// mntIDReq is struct mnt_id_req.
type mntIDReq struct {
	Size    uint32
	_       uint32
	MntID   uint64
	Param   uint64
	MntNSID uint64
}

// statmountAnswer is the head of struct statmount, as far as nsview reads it. String fields are offsets into the bytes
// that follow the 512 bytes of the struct.
type statmountAnswer struct {
	Size           uint32
	MntOpts        uint32
	Mask           uint64
	SBDevMajor     uint32
	SBDevMinor     uint32
	SBMagic        uint64
	SBFlags        uint32
	FSType         uint32
	MntID          uint64
	MntParentID    uint64
	MntIDOld       uint32
	MntParentIDOld uint32
	MntAttr        uint64
	MntPropagation uint64
	MntPeerGroup   uint64
	MntMaster      uint64
	PropagateFrom  uint64
	MntRoot        uint32
	MntPoint       uint32
	MntNSID        uint64
	FSSubtype      uint32
	SBSource       uint32
	OptNum         uint32
	OptArray       uint32
	OptSecNum      uint32
	OptSecArray    uint32
	SupportedMask  uint64
	UIDMapNum      uint32
	UIDMap         uint32
	GIDMapNum      uint32
	GIDMap         uint32
}

// mountStat is what statmount(2) said about one mount.
type mountStat struct {
	answered  uint64 // which of the questions it answered: STATMOUNT_* bits
	id        uint64 // never given twice between two boots
	parent    uint64
	oldID     int // as in mountinfo
	oldParent int
	magic     uint64
	idmapped  bool
	root      string
	point     string // "" when it cannot be reached from the root that listmount(2) starts at
	uids      idmap.MountMap
	gids      idmap.MountMap
	attr      uint64 // MOUNT_ATTR_*
	sbFlags   uint32 // SB_*
	dev       string // MAJOR:MINOR of the superblock
	fsType    string
	options   string // of the superblock
}

// listMounts is listmount(2): the unique ids of the mounts below mount under, which may be listmountRoot, in the mount
// namespace nsID.
//
// In a mount namespace other than its own the caller needs CAP_SYS_ADMIN over the owner of that one, else EPERM.
// ENOENT is a mount namespace that is gone. Linux 6.8, with nsID 6.11.
func listMounts(nsID, under uint64) ([]uint64, error) {
	var (
		out   []uint64
		batch [listmountBatch]uint64
		req   = mntIDReq{Size: uint32(mntIDReqSize), MntID: under, MntNSID: nsID}
	)
	for {
		n, err := retry(func() (int, error) {
			n, _, errno := unix.Syscall6(unix.SYS_LISTMOUNT, uintptr(unsafe.Pointer(&req)),
				uintptr(unsafe.Pointer(&batch[0])), uintptr(len(batch)), 0, 0, 0)
			if errno != 0 {
				return 0, errno
			}
			return int(n), nil
		})
		if err != nil {
			return nil, fmt.Errorf("listmount in mount namespace id %d: %w", nsID, err)
		}
		out = append(out, batch[:n]...)
		if n < len(batch) {
			return out, nil
		}
		req.Param = batch[n-1]
	}
}

// eachMount asks the questions about each of the mounts with those unique ids and calls see with what statmount(2) says.
// One that has been unmounted since is left out.
func eachMount(nsID uint64, ids []uint64, questions uint64, buf *[]byte, see func(mountStat)) error {
	for _, id := range ids {
		m, err := statMount(nsID, id, questions, buf)
		switch {
		case err == nil:
			see(m)
		case !errors.Is(err, unix.ENOENT):
			return err
		}
	}
	return nil
}

// statMount is statmount(2) of the mount with the unique id in the mount namespace nsID. buf is scratch space that is
// used again for the next mount.
//
// The id maps are in ids of the caller's user namespace, and a part of a map that has no ids there is silently left
// out: only a caller in the initial user namespace can trust them.
func statMount(nsID, id, questions uint64, buf *[]byte) (mountStat, error) {
	b, err := askMount(nsID, id, questions, buf)
	if err != nil {
		return mountStat{}, err
	}
	return parseStatmount(b)
}

// mountMagic is the magic number of the file system that is mounted, of one mount as [statMount] names it. It costs a
// fraction of what questions do that are answered with text.
func mountMagic(nsID, id uint64, buf *[]byte) (uint64, error) {
	b, err := askMount(nsID, id, statmountSBBasic, buf)
	if err != nil {
		return 0, err
	}
	const magic = int(unsafe.Offsetof(statmountAnswer{}.SBMagic))
	if len(b) < statmountHeader {
		return 0, errStatmountAnswer
	}
	return binary.NativeEndian.Uint64(b[magic:]), nil
}

// askMount is the system call: the answer is in buf, which grows as it must.
func askMount(nsID, id, questions uint64, buf *[]byte) ([]byte, error) {
	req := mntIDReq{Size: uint32(mntIDReqSize), MntID: id, Param: questions, MntNSID: nsID}
	if len(*buf) == 0 {
		*buf = make([]byte, statmountFirst)
	}
	for {
		b := *buf
		_, _, errno := unix.Syscall6(unix.SYS_STATMOUNT, uintptr(unsafe.Pointer(&req)),
			uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)), 0, 0, 0)
		switch {
		case errno == 0:
			return b, nil
		case errno == unix.EINTR:
		case errno == unix.EOVERFLOW && len(b) < statmountMax:
			*buf = make([]byte, 4*len(b))
		default:
			return nil, fmt.Errorf("statmount %d in mount namespace id %d: %w", id, nsID, errno)
		}
	}
}

var errStatmountAnswer = errors.New("statmount: the answer makes no sense")

func parseStatmount(b []byte) (mountStat, error) {
	var a statmountAnswer
	if len(b) < statmountHeader {
		return mountStat{}, errStatmountAnswer
	}
	copy(unsafe.Slice((*byte)(unsafe.Pointer(&a)), unsafe.Sizeof(a)), b)
	if int64(a.Size) > int64(len(b)) || a.Size < statmountHeader {
		return mountStat{}, errStatmountAnswer
	}
	text := b[statmountHeader:a.Size]
	m := mountStat{
		answered: a.Mask, id: a.MntID, parent: a.MntParentID, oldID: int(a.MntIDOld), oldParent: int(a.MntParentIDOld),
		magic: a.SBMagic, idmapped: a.MntAttr&mountAttrIdmap != 0, attr: a.MntAttr, sbFlags: a.SBFlags,
		dev: strconv.FormatUint(uint64(a.SBDevMajor), 10) + ":" + strconv.FormatUint(uint64(a.SBDevMinor), 10),
	}
	if m.answered&statmountFSType != 0 {
		m.fsType, _ = cString(text, a.FSType)
	}
	if m.answered&statmountMntOpts != 0 {
		m.options, _ = cString(text, a.MntOpts)
	}
	var err error
	if m.answered&statmountMntRoot != 0 {
		m.root, _ = cString(text, a.MntRoot)
	}
	if m.answered&statmountMntPoint != 0 {
		m.point, _ = cString(text, a.MntPoint)
	}
	if m.answered&statmountMntUIDMap != 0 {
		if m.uids, err = parseMountMap(text, a.UIDMap, a.UIDMapNum); err != nil {
			return mountStat{}, err
		}
	}
	if m.answered&statmountMntGIDMap != 0 {
		if m.gids, err = parseMountMap(text, a.GIDMap, a.GIDMapNum); err != nil {
			return mountStat{}, err
		}
	}
	return m, nil
}

// cString is the string that starts at offset, and the offset of the next.
func cString(text []byte, offset uint32) (string, uint32) {
	if int64(offset) >= int64(len(text)) {
		return "", offset
	}
	s, _, _ := bytes.Cut(text[offset:], []byte{0})
	return string(s), offset + uint32(len(s)) + 1
}

// parseMountMap reads n strings "ON-DISK SEEN-AS COUNT".
func parseMountMap(text []byte, offset, n uint32) (idmap.MountMap, error) {
	var m idmap.MountMap
	for range n {
		var s string
		s, offset = cString(text, offset)
		var numbers [3]uint32
		fields := strings.Fields(s)
		if len(fields) != len(numbers) {
			return nil, errStatmountAnswer
		}
		for i, f := range fields {
			v, err := strconv.ParseUint(f, 10, 32)
			if err != nil {
				return nil, errStatmountAnswer
			}
			numbers[i] = uint32(v)
		}
		m = append(m, idmap.MountExtent{OnDisk: idmap.Disk(numbers[0]), SeenAs: idmap.Kernel(numbers[1]), Count: numbers[2]})
	}
	return m, nil
}
