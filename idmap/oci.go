package idmap

import (
	"encoding/json"
	"fmt"
)

// OCIExtent is an [Extent] as container runtimes store it. It is written as the OCI runtime specification says
// (containerID, hostID, size: linux.uidMappings in config.json) and read in that spelling or in the one of runc's
// state.json (container_id, host_id, size).
type OCIExtent Extent

type ociSpelling struct {
	ContainerID Inside `json:"containerID"`
	HostID      Kernel `json:"hostID"`
	Size        uint32 `json:"size"`
}

// ToOCI is m as a runtime's configuration has it.
func (m Map) ToOCI() []OCIExtent {
	list := make([]OCIExtent, len(m))
	for i, e := range m {
		list[i] = OCIExtent(e)
	}
	return list
}

// FromOCI is the Map that a runtime's configuration says.
func FromOCI(list []OCIExtent) Map {
	var m Map
	for _, e := range list {
		m = append(m, Extent(e))
	}
	return m
}

// ParseOCI reads a JSON list of mappings, such as linux.uidMappings in an OCI config.json. null is the Map that maps
// nothing.
func ParseOCI(text []byte) (Map, error) {
	var list []OCIExtent
	if err := json.Unmarshal(text, &list); err != nil {
		return nil, fmt.Errorf("parse OCI id mappings: %w", err)
	}
	return FromOCI(list), nil
}

// MarshalJSON writes the spelling of the OCI runtime specification.
func (e OCIExtent) MarshalJSON() ([]byte, error) {
	return json.Marshal(ociSpelling{ContainerID: e.Inside, HostID: e.Outside, Size: e.Count})
}

// UnmarshalJSON reads either spelling. All three members must be there, and be ids.
func (e *OCIExtent) UnmarshalJSON(text []byte) error {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(text, &members); err != nil {
		return err
	}
	inside, err := ociMember(members, "containerID", "container_id")
	if err != nil {
		return err
	}
	outside, err := ociMember(members, "hostID", "host_id")
	if err != nil {
		return err
	}
	size, err := ociMember(members, "size")
	if err != nil {
		return err
	}
	*e = OCIExtent{Inside: Inside(inside), Outside: Kernel(outside), Count: size}
	return nil
}

func ociMember(members map[string]json.RawMessage, spellings ...string) (uint32, error) {
	var value json.RawMessage
	for _, name := range spellings {
		if v, ok := members[name]; ok {
			if value != nil {
				return 0, fmt.Errorf("%s is said twice", spellings[0])
			}
			value = v
		}
	}
	if value == nil {
		return 0, fmt.Errorf("%s is missing", spellings[0])
	}
	id, err := parseID(string(value))
	if err != nil {
		return 0, fmt.Errorf("%s: %w", spellings[0], err)
	}
	return id, nil
}
