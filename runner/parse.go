package runner

import (
	"fmt"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/nsview/nsview/idmap"
)

// ParseBind reads SRC:DST[:OPTION,...] with the options ro, idmap, and idmap=DISK-SEEN-COUNT (repeatable).
// SRC and DST cannot contain a colon.
func ParseBind(s string) (MountSpec, error) {
	fields := strings.SplitN(s, ":", 3)
	if len(fields) < 2 || fields[0] == "" || fields[1] == "" {
		return MountSpec{}, fmt.Errorf("%q is not SRC:DST[:ro,idmap]", s)
	}
	m := MountSpec{Source: fields[0]}
	var err error
	if m.Target, err = targetPath(fields[1]); err != nil {
		return MountSpec{}, err
	}
	if len(fields) == 2 {
		return m, nil
	}
	for option := range strings.SplitSeq(fields[2], ",") {
		key, value, hasValue := strings.Cut(option, "=")
		switch {
		case option == "ro":
			m.ReadOnly = true
		case option == "rw":
		case option == "idmap":
			m.Idmap = true
		case key == "idmap" && hasValue:
			e, err := parseDiskSeen(value)
			if err != nil {
				return MountSpec{}, err
			}
			m.Idmap = true
			m.IDExtents = append(m.IDExtents, e)
		default:
			return MountSpec{}, fmt.Errorf("%q is not an option of a bind mount: ro, idmap or idmap=DISK-SEEN-COUNT", option)
		}
	}
	return m, nil
}

// ParseTmpfs reads the DST of a tmpfs.
func ParseTmpfs(s string) (MountSpec, error) {
	target, err := targetPath(s)
	return MountSpec{Target: target}, err
}

func targetPath(s string) (string, error) {
	if !strings.HasPrefix(s, "/") {
		return "", fmt.Errorf("%q is not an absolute path", s)
	}
	if s = path.Clean(s); s == "/" {
		return "", fmt.Errorf("cannot mount over /, use --root for another root directory")
	}
	return s, nil
}

// parseDiskSeen reads DISK-SEEN-COUNT.
func parseDiskSeen(s string) (idmap.Extent, error) {
	e, err := idmap.ParseExtent(strings.ReplaceAll(s, "-", ":"))
	if err != nil || strings.Contains(s, ":") {
		return idmap.Extent{}, fmt.Errorf("idmap=%s is not DISK-SEEN-COUNT, three numbers", s)
	}
	return e, nil
}

// ParseTimeOffset reads [monotonic=|boottime=]OFFSET, where OFFSET is seconds or has units (36h, -90s). Without a clock
// it is for both.
func ParseTimeOffset(s string) ([]TimeOffset, error) {
	clocks := []string{"monotonic", "boottime"}
	if clock, rest, ok := strings.Cut(s, "="); ok {
		if clock != clocks[0] && clock != clocks[1] {
			return nil, fmt.Errorf("%q is not a clock that can be set off: monotonic or boottime", clock)
		}
		clocks, s = []string{clock}, rest
	}
	var offset time.Duration
	if n, err := strconv.ParseInt(s, 10, 64); err == nil {
		offset = time.Duration(n) * time.Second
		if offset/time.Second != time.Duration(n) {
			return nil, fmt.Errorf("offset %s is out of range", s)
		}
	} else if offset, err = time.ParseDuration(s); err != nil {
		return nil, fmt.Errorf("%q is not an offset: seconds, or a number with units as in 36h", s)
	}
	offsets := make([]TimeOffset, len(clocks))
	for i, clock := range clocks {
		offsets[i] = TimeOffset{Clock: clock, Offset: offset}
	}
	return offsets, nil
}
