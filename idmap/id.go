// Package idmap calculates with user-namespace id maps and mount id maps. It is pure: it reads no file and asks no
// kernel, so every answer can be tested, stored and repeated.
//
// Three kinds of ids meet in a container, and each has its own Go type so that the compiler keeps them apart:
//
//   - [Inside]: what a process inside a user namespace calls an id, what its /etc/passwd lists.
//   - [Kernel]: the id on the observer's side, the outside column of /proc/PID/uid_map as the observer reads it. It is
//     the kernel's own kuid/kgid when the observer is in the initial user namespace.
//   - [Disk]: what a file system stores in an inode.
package idmap

import (
	"encoding/json"
	"strconv"
)

// Inside is a UID or GID as the processes of a user namespace see it.
type Inside uint32

// Kernel is a UID or GID on the observer's side (outside).
type Kernel uint32

// Disk is a UID or GID as a file system stores it.
type Disk uint32

// An id that no map translates is unmapped: the value of which the kernel says INVALID_UID (include/linux/uidgid.h).
// No valid id ever equals it, and it is not the overflow id (65534), which may be an ordinary, mapped id.
const (
	UnmappedInside Inside = 1<<32 - 1
	UnmappedKernel Kernel = 1<<32 - 1
	UnmappedDisk   Disk   = 1<<32 - 1
)

// Mapped reports whether i is an id at all.
func (i Inside) Mapped() bool { return i != UnmappedInside }

// Mapped reports whether k is an id at all.
func (k Kernel) Mapped() bool { return k != UnmappedKernel }

// Mapped reports whether d is an id at all.
func (d Disk) Mapped() bool { return d != UnmappedDisk }

// String is the decimal number, or "unmapped".
func (i Inside) String() string { return idString(uint32(i)) }

// String is the decimal number, or "unmapped".
func (k Kernel) String() string { return idString(uint32(k)) }

// String is the decimal number, or "unmapped".
func (d Disk) String() string { return idString(uint32(d)) }

// MarshalJSON writes the number, or null for an unmapped id.
func (i Inside) MarshalJSON() ([]byte, error) { return marshalID(uint32(i)), nil }

// MarshalJSON writes the number, or null for an unmapped id.
func (k Kernel) MarshalJSON() ([]byte, error) { return marshalID(uint32(k)), nil }

// MarshalJSON writes the number, or null for an unmapped id.
func (d Disk) MarshalJSON() ([]byte, error) { return marshalID(uint32(d)), nil }

// UnmarshalJSON reads a number, or null as an unmapped id.
func (i *Inside) UnmarshalJSON(b []byte) error { return unmarshalID(b, (*uint32)(i)) }

// UnmarshalJSON reads a number, or null as an unmapped id.
func (k *Kernel) UnmarshalJSON(b []byte) error { return unmarshalID(b, (*uint32)(k)) }

// UnmarshalJSON reads a number, or null as an unmapped id.
func (d *Disk) UnmarshalJSON(b []byte) error { return unmarshalID(b, (*uint32)(d)) }

const invalid = 1<<32 - 1

func idString(id uint32) string {
	if id == invalid {
		return "unmapped"
	}
	return strconv.FormatUint(uint64(id), 10)
}

func marshalID(id uint32) []byte {
	if id == invalid {
		return []byte("null")
	}
	return strconv.AppendUint(nil, uint64(id), 10)
}

func unmarshalID(b []byte, id *uint32) error {
	if string(b) == "null" {
		*id = invalid
		return nil
	}
	return json.Unmarshal(b, id)
}
