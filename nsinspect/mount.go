package nsinspect

import "github.com/nsview/nsview/idmap"

// MountTable is the mounts that the processes of one mount namespace with one root see. /proc/PID/mountinfo is filtered
// by the root of the process it is read from: a chroot has a table of its own.
type MountTable struct {
	MntNS  Inode   `json:"mnt_ns"` // 0 when the observer cannot tell
	Root   string  `json:"root"`   // root directory of the processes, "" when the observer cannot tell
	PID    int     `json:"pid"`    // the process that it was read from
	Mounts []Mount `json:"mounts"`

	// RootMount is the mount that the root directory is on where mountinfo leaves it out (a chroot) and no other table of
	// the mount namespace has it either; its Point, and RootOn, the path of the root directory, are as the observer has them.
	RootMount *Mount `json:"root_mount,omitempty"`
	RootOn    string `json:"root_on,omitempty"`
}

// Mount is one line of /proc/PID/mountinfo (proc_pid_mountinfo(5)), paths unescaped.
type Mount struct {
	ID          int      `json:"id"`
	UniqueID    uint64   `json:"unique_id,omitempty"` // never reused (statmount(2), Linux 6.8); 0 when unknown
	Parent      int      `json:"parent"`
	Dev         string   `json:"dev"`  // MAJOR:MINOR of the superblock: not always st_dev (btrfs, overlay)
	Root        string   `json:"root"` // the directory of the file system that is mounted
	Point       string   `json:"point"`
	Options     []string `json:"options"`     // of this mount: ro, nosuid, nodev, noexec, idmapped, ...
	Propagation []string `json:"propagation"` // shared:N, master:N, propagate_from:N, unbindable; empty is private
	FSType      string   `json:"fs_type"`
	Source      string   `json:"source"`
	SuperOpts   []string `json:"super_options"` // of the superblock

	Idmapped bool `json:"idmapped"`
	// UIDMap and GIDMap are the map of an idmapped mount (statmount(2), Linux 6.15; only complete for an observer in the
	// initial user namespace). MapKnown is false when it could not be read.
	UIDMap   idmap.MountMap `json:"uid_map,omitempty"`
	GIDMap   idmap.MountMap `json:"gid_map,omitempty"`
	MapKnown bool           `json:"map_known,omitempty"`
}
