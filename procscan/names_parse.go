package procscan

import (
	"bytes"
	"strconv"

	"github.com/nsview/nsview/idmap"
)

// ParseNames reads the names of a passwd or group file (passwd(5), group(5)): NAME:PASSWORD:ID and more fields. Of two
// names for one id the first wins, as getpwuid(3) has it. A line that is no entry is passed over, as the C library does
// (a comment, a "+" of NIS, junk); an id that is no number from 0 to 4294967294 makes it one. Names stay as they are:
// they are hostile text until they are escaped.
func ParseNames(content []byte) map[idmap.Inside]string {
	names := make(map[idmap.Inside]string)
	for line := range bytes.Lines(content) {
		id, name, ok := parseName(bytes.TrimSuffix(line, []byte("\n")))
		if !ok {
			continue
		}
		if _, taken := names[id]; !taken {
			names[id] = name
		}
	}
	return names
}

func parseName(line []byte) (idmap.Inside, string, bool) {
	name, rest, ok := bytes.Cut(line, []byte(":"))
	if !ok || len(name) == 0 || bytes.ContainsAny(name[:1], "+-#") {
		return 0, "", false
	}
	_, rest, ok = bytes.Cut(rest, []byte(":"))
	if !ok {
		return 0, "", false
	}
	number, _, ok := bytes.Cut(rest, []byte(":"))
	if !ok || len(number) == 0 || number[0] < '0' || number[0] > '9' {
		return 0, "", false
	}
	id, err := strconv.ParseUint(string(number), 10, 32)
	if err != nil || !idmap.Inside(id).Mapped() {
		return 0, "", false
	}
	return idmap.Inside(id), string(name), true
}
