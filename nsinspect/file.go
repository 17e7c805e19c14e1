package nsinspect

import (
	"time"

	"github.com/nsview/nsview/idmap"
)

// FileFacts is what was read about one file, for [Snapshot.Owners] to judge: what it is, and every mount through which a
// viewer sees it. Package procscan/pathwalk reads them.
type FileFacts struct {
	Target   string `json:"target"`   // in whose root Path was resolved: "host" or a TARGET
	PID      int    `json:"pid"`      // the process that stands for Target, 0 for the host
	Path     string `json:"path"`     // as it was asked for
	Follow   bool   `json:"follow"`   // a final symbolic link was followed
	Resolved string `json:"resolved"` // the path in Target's root, without links; "" when it has none there

	Type  string `json:"type"`  // regular, directory, symlink, fifo, socket, char_device, block_device
	Mode  uint32 `json:"mode"`  // permission, set-id and sticky bits
	Dev   string `json:"dev"`   // MAJOR:MINOR as stat(2) says; the superblock's is the mount's
	Inode uint64 `json:"inode"` // as stat(2) says
	Nlink uint64 `json:"nlink"` // above 1: it has other names, which are not searched

	Size     *uint64    `json:"size,omitempty"`     // bytes, as stat(2) says; nil for a device
	Modified *time.Time `json:"modified,omitempty"` // by the clock of its file system; nil for a year that RFC 3339 cannot write

	Sightings []Sighting `json:"sightings"`
	Gaps      []Gap      `json:"gaps"`
}

// Sighting is one path under which the processes of one mount table see the file.
type Sighting struct {
	Table int    `json:"table"` // index in Snapshot.MountTables
	Mount int    `json:"mount"` // Mount.ID there
	Path  string `json:"path"`

	// Confirmed says that the path was opened in the viewer's root and is this file. Else it follows from the mounts only.
	Confirmed bool `json:"confirmed"`

	// Stat is the owner that stat(2) showed there, nil when it was not asked. The overflow id may be an id or stand for
	// an unmapped one.
	Stat *RawIDs `json:"stat,omitempty"`

	// Layer is, on an overlay, the mount of the layer that holds the file: its ids are what the overlay shows.
	Layer *MountRef `json:"layer,omitempty"`
}

// RawIDs are ids as a system call returns them to the observer: 65534 has several meanings.
type RawIDs struct {
	UID uint32 `json:"uid"`
	GID uint32 `json:"gid"`
}

// MountRef names a mount of a snapshot.
type MountRef struct {
	Table int `json:"table"` // index in Snapshot.MountTables
	Mount int `json:"mount"` // Mount.ID there
}

// OwnerReport is the answer of nsview owner.
type OwnerReport struct {
	Report
	Files []FileOwners `json:"files"`
}

// FileOwners is one file and who owns it for whom.
type FileOwners struct {
	Path  string `json:"path"` // as it was asked for
	Type  string `json:"type"`
	Mode  string `json:"mode"` // octal, four digits
	Dev   string `json:"dev"`
	Inode uint64 `json:"inode"`
	Nlink uint64 `json:"nlink"`

	Size     *uint64       `json:"size"`     // as in FileFacts
	Modified *time.Time    `json:"modified"` // likewise
	Age      time.Duration `json:"-"`        // how long before the snapshot that was, negative after it; 0 when it is unknown

	// OnDisk are the ids that the file system stores, null when no mount tells them.
	OnDisk DiskIDs `json:"on_disk"`

	Views       []OwnerView `json:"views"`
	Assumptions []string    `json:"assumptions"`
}

// DiskIDs are the ids that a file system stores for a file.
type DiskIDs struct {
	UID idmap.Disk `json:"uid"`
	GID idmap.Disk `json:"gid"`
}

// OwnerView is the owner of a file as one viewer sees it under one path.
type OwnerView struct {
	Viewer string       `json:"viewer"`  // "host" or a TARGET
	PID    *int         `json:"pid"`     // the process that stands for the viewer; null for the host
	UserNS Inode        `json:"user_ns"` // the viewer's
	Path   string       `json:"path"`    // in the viewer's root
	UID    idmap.Inside `json:"uid"`     // in the viewer's user namespace, null when unmapped there
	GID    idmap.Inside `json:"gid"`
	User   string       `json:"user"` // in the viewer's own passwd
	Group  string       `json:"group"`
	Mount  OwnerMount   `json:"mount"`

	// Host are the same ids on the observer's side: what decides about access. Null when the mount does not map them.
	Host OwnerIDs `json:"host"`

	// Confirmed is false when the path could not be opened in the viewer's root: the view follows from the mounts alone.
	Confirmed bool `json:"confirmed"`

	// UnknownIDs names the ids ("uid", "gid") that are null because they could not be told, not because they are unmapped.
	UnknownIDs []string `json:"unknown_ids,omitempty"`
}

// OwnerIDs are the ids of a file on the observer's side.
type OwnerIDs struct {
	UID idmap.Kernel `json:"uid"`
	GID idmap.Kernel `json:"gid"`
}

// OwnerMount is the mount through which a viewer sees a file.
type OwnerMount struct {
	Point    string         `json:"point"`
	Volume   string         `json:"volume,omitempty"` // what the viewer's engine calls what is mounted there
	Idmapped bool           `json:"idmapped"`
	ReadOnly bool           `json:"read_only"` // the mount, or its file system
	FSType   string         `json:"fs_type"`
	UIDMap   idmap.MountMap `json:"uid_map,omitempty"`
	GIDMap   idmap.MountMap `json:"gid_map,omitempty"`
}
