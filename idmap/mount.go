package idmap

import (
	"fmt"
	"strings"
)

// MountExtent is one line of an idmapped mount's map: Count ids from OnDisk on are seen through the mount as the ids
// from SeenAs on (mount_setattr(2), statmount(2) STATMOUNT_MNT_UIDMAP).
type MountExtent struct {
	OnDisk Disk   `json:"on_disk"`
	SeenAs Kernel `json:"seen_as"`
	Count  uint32 `json:"count"`
}

// MountMap is the map of an idmapped mount. The zero MountMap maps nothing: a mount that is not idmapped has a
// [MountIDs] with Idmapped false.
type MountMap []MountExtent

// SeenAs translates an id on disk to the id that the mount shows. [UnmappedKernel] when the map does not cover it.
func (m MountMap) SeenAs(id Disk) Kernel {
	for _, e := range m {
		if out, ok := shift(uint32(id), uint32(e.OnDisk), uint32(e.SeenAs), e.Count); ok {
			return Kernel(out)
		}
	}
	return UnmappedKernel
}

// OnDisk translates an id as seen through the mount to the id on disk. [UnmappedDisk] when the map does not cover it.
func (m MountMap) OnDisk(id Kernel) Disk {
	for _, e := range m {
		if out, ok := shift(uint32(id), uint32(e.SeenAs), uint32(e.OnDisk), e.Count); ok {
			return Disk(out)
		}
	}
	return UnmappedDisk
}

// UnmarshalJSON reads a list of extents. More than 4096 are refused, and so are members that an extent does not have.
func (m *MountMap) UnmarshalJSON(text []byte) error {
	return unmarshalExtents(text, (*[]MountExtent)(m))
}

// MountMapOf is the map that a mount gets from a user namespace whose map is m (mount_setattr(2) with
// MOUNT_ATTR_IDMAP): what is on disk is read as inside ids and seen as outside ids.
func MountMapOf(m Map) MountMap {
	var mount MountMap
	for _, e := range m {
		mount = append(mount, mountExtent(e))
	}
	return mount
}

// ParseMountExtent reads what statmount(2) says of an idmapped mount (STATMOUNT_MNT_UIDMAP): three decimal numbers, the
// first id on disk, the first id seen, the count.
func ParseMountExtent(s string) (MountExtent, error) {
	e, err := parseTriple(s)
	if err != nil {
		return MountExtent{}, fmt.Errorf("mount id map %q: %w", s, err)
	}
	return mountExtent(e), nil
}

// KindMountExtent is one extent of the mount map of a Kind.
type KindMountExtent struct {
	Kind Kind
	MountExtent
}

// ParseMountOption reads the value of mount's option X-mount.idmap (mount(8)): entries of KIND:ON-DISK:SEEN-AS:COUNT
// between blanks, where KIND is u, g or b and may be left out for b. The spelling that names a user namespace's file
// instead is not read.
func ParseMountOption(s string) ([]KindMountExtent, error) {
	var list []KindMountExtent
	for _, entry := range blankFields(s) {
		if strings.Count(entry, ":") == 2 {
			entry = "b:" + entry
		}
		kinds, fields, err := kindAndFields(entry)
		if err != nil {
			return nil, fmt.Errorf("mount option X-mount.idmap=%q: %w", s, err)
		}
		e, err := extentOf(fields)
		if err != nil {
			return nil, fmt.Errorf("mount option X-mount.idmap=%q: %w", s, err)
		}
		for _, kind := range kinds {
			list = append(list, KindMountExtent{Kind: kind, MountExtent: mountExtent(e)})
		}
	}
	if len(list) == 0 {
		return nil, fmt.Errorf("mount option X-mount.idmap=%q: %w", s, errFields)
	}
	return list, nil
}

func mountExtent(e Extent) MountExtent {
	return MountExtent{OnDisk: Disk(e.Inside), SeenAs: e.Outside, Count: e.Count}
}

// String is ON-DISK:SEEN-AS:COUNT.
func (e MountExtent) String() string {
	return Extent{Inside: Inside(e.OnDisk), Outside: e.SeenAs, Count: e.Count}.String()
}

// MountIDs is how ids pass between a file system and the processes that look through one mount of it. This is the
// formula of make_vfsuid() and from_vfsuid() (fs/mnt_idmapping.c), and it stands here once. The kernel turns what is on
// disk into a kernel id by the superblock's user namespace; an idmapped mount turns it back and maps it by its own map.
// So an id on disk that the superblock's user namespace does not have is seen by nobody, whatever the mount maps.
type MountIDs struct {
	Idmapped   bool     // the mount has a map of its own
	Map        MountMap // that map
	Superblock Map      // the map of the user namespace that owns the superblock: Identity() for the initial one
}

// SeenAs is the id that the mount shows for an id on disk. [UnmappedKernel] when there is none: stat(2) then shows the
// overflow id, the file cannot be written, and no capability counts for it.
func (t MountIDs) SeenAs(id Disk) Kernel {
	if !t.Idmapped {
		return t.Superblock.ToOutside(Inside(id))
	}
	if !t.Superblock.Covers(Inside(id)) {
		return UnmappedKernel
	}
	return t.Map.SeenAs(id)
}

// OnDisk is the id that is stored when an id is written through the mount. [UnmappedDisk] when there is none: creating a
// file then fails with EOVERFLOW.
func (t MountIDs) OnDisk(id Kernel) Disk {
	if !t.Idmapped {
		return Disk(t.Superblock.ToInside(id))
	}
	disk := t.Map.OnDisk(id)
	if !t.Superblock.Covers(Inside(disk)) {
		return UnmappedDisk
	}
	return disk
}
