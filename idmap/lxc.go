package idmap

import (
	"fmt"
	"strings"
)

// KindExtent is one extent of the map of a Kind. Spellings that mean both kinds at once give two.
type KindExtent struct {
	Kind Kind
	Extent
}

// ParseLXC reads one id map of LXC, in the spellings of its configuration file ("lxc.idmap = u 0 100000 65536",
// lxc.container.conf(5); lxc.id_map before LXC 3), of that line's value alone, and of lxc-usernsexec -m
// ("b:0:100000:65536"). The kind is u, g or b, or in words uid, gid or both. Inside comes before outside.
func ParseLXC(s string) ([]KindExtent, error) {
	value := s
	if key, after, ok := strings.Cut(s, "="); ok {
		if key = strings.Trim(key, " \t"); key != "lxc.idmap" && key != "lxc.id_map" {
			return nil, fmt.Errorf("LXC id map %q: the key is not lxc.idmap", s)
		}
		value = after
	}
	kinds, fields, err := kindAndFields(value)
	if err != nil {
		return nil, fmt.Errorf("LXC id map %q: %w", s, err)
	}
	e, err := extentOf(fields)
	if err != nil {
		return nil, fmt.Errorf("LXC id map %q: %w", s, err)
	}
	list := make([]KindExtent, len(kinds))
	for i, kind := range kinds {
		list[i] = KindExtent{Kind: kind, Extent: e}
	}
	return list, nil
}

// kindAndFields splits KIND and its fields, at colons or at blanks.
func kindAndFields(s string) ([]Kind, []string, error) {
	s = strings.Trim(s, " \t")
	fields := blankFields(s)
	if strings.Contains(s, ":") {
		fields = strings.Split(s, ":")
	}
	if len(fields) == 0 {
		return nil, nil, errKind
	}
	switch fields[0] {
	case "u", "uid":
		return []Kind{UID}, fields[1:], nil
	case "g", "gid":
		return []Kind{GID}, fields[1:], nil
	case "b", "both":
		return []Kind{UID, GID}, fields[1:], nil
	}
	return nil, nil, errKind
}
