package idmap

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// MaxExtents is how many lines the kernel takes in one uid_map or gid_map since Linux 4.15 (UID_GID_MAP_MAX_EXTENTS in
// include/linux/user_namespace.h).
const MaxExtents = 340

// Kind says which ids a map is for: a user namespace has one map of each kind.
type Kind string

// The kinds of ids.
const (
	UID Kind = "uid"
	GID Kind = "gid"
)

// Extent is one line of /proc/PID/uid_map or gid_map (user_namespaces(7)): Count ids from Inside on are the ids from
// Outside on.
//
// An Outside of [UnmappedKernel] is how the kernel shows a range whose ids have no mapping in the reader's user
// namespace (4294967295): the range exists inside, but this reader cannot name its ids. JSON has null for it.
type Extent struct {
	Inside  Inside `json:"inside"`
	Outside Kernel `json:"outside"`
	Count   uint32 `json:"count"`
}

// Map is an id map: a list of extents. The zero Map maps nothing, as the map of a user namespace that was never
// written; [Identity] is explicit. Extents keep the order in which the kernel lists them.
type Map []Extent

// Identity is the map of the initial user namespace: every id but 4294967295 is itself.
func Identity() Map { return Map{{Inside: 0, Outside: 0, Count: 1<<32 - 1}} }

// ToOutside translates an inside id, as make_kuid() does (kernel/user_namespace.c). An id that no extent covers, or
// whose extent has no outside id for this reader, is [UnmappedKernel].
func (m Map) ToOutside(id Inside) Kernel {
	for _, e := range m {
		if e.inside().has(uint32(id)) {
			out, _ := shift(uint32(id), uint32(e.Inside), uint32(e.Outside), e.Count)
			return Kernel(out)
		}
	}
	return UnmappedKernel
}

// ToInside translates an id of the observer's side, as from_kuid() does. [UnmappedInside] when the map does not reach
// it.
func (m Map) ToInside(id Kernel) Inside {
	for _, e := range m {
		if in, ok := shift(uint32(id), uint32(e.Outside), uint32(e.Inside), e.Count); ok {
			return Inside(in)
		}
	}
	return UnmappedInside
}

// Covers reports whether id exists inside: some extent has it, even one whose outside ids this reader cannot name.
func (m Map) Covers(id Inside) bool {
	for _, e := range m {
		if e.inside().has(uint32(id)) {
			return true
		}
	}
	return false
}

// MarshalJSON writes a list, also for the Map that maps nothing.
func (m Map) MarshalJSON() ([]byte, error) {
	if m == nil {
		return []byte("[]"), nil
	}
	return json.Marshal([]Extent(m))
}

// maxStored is how many extents are read of a stored map: more than any kernel lists, also where AsReadBy cut each of
// its extents in two, and few enough for whoever stored it not to make the algebra slow.
const maxStored = 4096

// UnmarshalJSON reads a list of extents. More than 4096 are refused, and so are members that an extent does not have.
func (m *Map) UnmarshalJSON(text []byte) error {
	return unmarshalExtents(text, (*[]Extent)(m))
}

func unmarshalExtents[E any](text []byte, list *[]E) error {
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.DisallowUnknownFields()
	if err := dec.Decode(list); err != nil {
		return err
	}
	if len(*list) > maxStored {
		return fmt.Errorf("id map of %d extents", len(*list))
	}
	return nil
}
