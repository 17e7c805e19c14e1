package procscan

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/nsview/nsview/idmap"
	"github.com/nsview/nsview/nsinspect"
)

// status is what nsview reads of /proc/PID/status. Ids are as the file shows them: one that has no mapping in the
// reader's user namespace stands there as the overflow id (see idJudge).
type status struct {
	name    []byte // as it stands there, escaped; valid until the next read
	pids    []int  // NSpid
	ppid    int
	state   byte
	threads int
	cred    nsinspect.Credentials
}

// parseStatus reads /proc/PID/status (proc_pid_status(5), proc_pid_status() in fs/proc/array.c): lines of a name, a
// colon, a tab and values. The lines that nsview uses:
//
//	Name:	sh                            comm, with newlines and backslashes escaped
//	State:	S (sleeping)
//	PPid:	1                             0 when the parent is outside the procfs's PID namespace
//	Uid:	0	0	0	0             real, effective, saved, file system
//	Gid:	0	0	0	0
//	Umask:	0022                          octal; missing without an fs_struct (zombies)
//	Groups:	4 24 27                       supplementary
//	NSpid:	5336	5                     from the procfs's PID namespace inwards (Linux 4.1)
//	Threads:	1
//	CapInh:	0000000000000000              CapPrm, CapEff, CapBnd, CapAmb: hexadecimal, bit n is capability n
//	NoNewPrivs:	0
//	Seccomp:	0                     0 off, 1 strict, 2 filter
//
// The first line, Name, is text of the process's choice; the kernel escapes newlines in it, so it cannot forge a line.
// Uid and Gid have to be there; unknown lines are passed over, and a malformed value is an error that names its line.
// st is overwritten; its slices are new, but for name.
func parseStatus(b []byte, st *status) error {
	*st = status{}
	const needed = 1 | 2
	var seen int
	for n := 1; len(b) > 0; n++ {
		line := b
		if i := bytes.IndexByte(b, '\n'); i >= 0 {
			line, b = b[:i], b[i+1:]
		} else {
			b = nil
		}
		colon := bytes.IndexByte(line, ':')
		if colon < 0 {
			return fmt.Errorf("line %d: no colon in %.40q", n, line)
		}
		value := bytes.TrimLeft(line[colon+1:], "\t ")
		var err error
		switch string(line[:colon]) { // the conversion does not allocate
		case "Name":
			st.name = line[min(colon+2, len(line)):] // after a tab; a name may begin with blanks
		case "State":
			if len(value) == 0 {
				err = errors.New("empty")
			} else {
				st.state = value[0]
			}
		case "PPid":
			st.ppid, err = oneNumber(value)
		case "Uid":
			seen |= 1
			err = parseIDs(value, &st.cred.UID)
		case "Gid":
			seen |= 2
			err = parseIDs(value, &st.cred.GID)
		case "Umask":
			var mask uint64
			mask, err = parseUint(value, 8, 32)
			st.cred.Umask = uint32(mask)
		case "Groups":
			st.cred.Groups, err = parseGroups(value)
		case "NSpid":
			st.pids, err = parseInts(value)
		case "Threads":
			st.threads, err = oneNumber(value)
		case "CapInh":
			st.cred.CapInh, err = parseUint(value, 16, 64)
		case "CapPrm":
			st.cred.CapPrm, err = parseUint(value, 16, 64)
		case "CapEff":
			st.cred.CapEff, err = parseUint(value, 16, 64)
		case "CapBnd":
			st.cred.CapBnd, err = parseUint(value, 16, 64)
		case "CapAmb":
			st.cred.CapAmb, err = parseUint(value, 16, 64)
		case "NoNewPrivs":
			var v int
			v, err = oneNumber(value)
			st.cred.NoNewPrivs = v != 0
		case "Seccomp":
			st.cred.Seccomp, err = oneNumber(value)
		}
		if err != nil {
			return fmt.Errorf("line %d: %s: %w", n, line[:colon], err)
		}
	}
	if seen != needed {
		return errors.New("no Uid or Gid line")
	}
	if st.cred.Groups == nil {
		st.cred.Groups = []idmap.Kernel{}
	}
	return nil
}

// parseIDs reads exactly four ids: real, effective, saved, file system.
func parseIDs(b []byte, ids *nsinspect.IDs) error {
	for i, id := range []*idmap.Kernel{&ids.Real, &ids.Effective, &ids.Saved, &ids.FS} {
		var field []byte
		if field, b = nextField(b); field == nil {
			return fmt.Errorf("%d fields, want 4", i)
		}
		v, err := parseUint(field, 10, 32)
		if err != nil {
			return fmt.Errorf("field %d: %w", i+1, err)
		}
		*id = idmap.Kernel(v)
	}
	if field, _ := nextField(b); field != nil {
		return errors.New("more than 4 fields")
	}
	return nil
}

func parseGroups(b []byte) ([]idmap.Kernel, error) {
	b = bytes.TrimRight(b, " ")
	if len(b) == 0 {
		return nil, nil
	}
	groups := make([]idmap.Kernel, 0, bytes.Count(b, []byte(" "))+1)
	for field, rest := nextField(b); field != nil; field, rest = nextField(rest) {
		v, err := parseUint(field, 10, 32)
		if err != nil {
			return nil, fmt.Errorf("field %d: %w", len(groups)+1, err)
		}
		groups = append(groups, idmap.Kernel(v))
	}
	return groups, nil
}

func parseInts(b []byte) ([]int, error) {
	ints := make([]int, 0, bytes.Count(b, []byte("\t"))+1)
	for field, rest := nextField(b); field != nil; field, rest = nextField(rest) {
		v, err := parseUint(field, 10, 31)
		if err != nil {
			return nil, fmt.Errorf("field %d: %w", len(ints)+1, err)
		}
		ints = append(ints, int(v))
	}
	return ints, nil
}

func oneNumber(b []byte) (int, error) {
	v, err := parseUint(b, 10, 31)
	return int(v), err
}

// nextField cuts the first field off b: blanks (space and tab) separate fields. It is nil at the end.
func nextField(b []byte) (field, rest []byte) {
	start := 0
	for start < len(b) && (b[start] == ' ' || b[start] == '\t') {
		start++
	}
	end := start
	for end < len(b) && b[end] != ' ' && b[end] != '\t' {
		end++
	}
	if start == end {
		return nil, nil
	}
	return b[start:end], b[end:]
}

// parseUint reads an unsigned number of at most bits bits in base 8, 10 or 16, without the copy that strconv needs: a
// scan parses a million of them.
func parseUint(b []byte, base uint64, bits uint) (uint64, error) {
	if len(b) == 0 {
		return 0, errors.New("empty number")
	}
	var v uint64
	limit := uint64(1)<<bits - 1 // bits 64: wraps to all ones
	for _, c := range b {
		d := uint64(255)
		switch {
		case '0' <= c && c <= '9':
			d = uint64(c - '0')
		case 'a' <= c && c <= 'f':
			d = uint64(c-'a') + 10
		}
		if d >= base {
			return 0, fmt.Errorf("%.40q is not a number of base %d", b, base)
		}
		if v > (limit-d)/base {
			return 0, fmt.Errorf("%.40q is too large", b)
		}
		v = v*base + d
	}
	return v, nil
}
