package idmap

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// Grant is a range of outside ids that /etc/subuid or /etc/subgid gives to a user: Count ids from First on.
type Grant struct {
	First Kernel `json:"first"`
	Count uint32 `json:"count"`
}

// String is FIRST:COUNT, as in /etc/subuid.
func (g Grant) String() string {
	return g.First.String() + ":" + strconv.FormatUint(uint64(g.Count), 10)
}

func (g Grant) span() span { return spanOf(uint32(g.First), g.Count) }

// SubID is one line of /etc/subuid or /etc/subgid.
type SubID struct {
	Owner string // a login name, or a uid in decimal; in /etc/subgid too it is the user, never a group
	Grant
}

// SubIDs is what /etc/subuid or /etc/subgid says, in the order of the file.
type SubIDs []SubID

// ParseSubIDs reads /etc/subuid or /etc/subgid (subuid(5)): lines of OWNER:FIRST:COUNT. Empty lines and lines that begin
// with # say nothing. A line that cannot be read is a [*LineError] in the joined error, and the others are still
// returned: newuidmap(1) passes over such lines too.
//
// Numbers are decimal. One with a leading 0 is refused: newuidmap reads it as octal (strtoul(3) with base 0), other
// programs as decimal.
func ParseSubIDs(r io.Reader) (SubIDs, error) {
	var ids SubIDs
	var errs []error
	lines := bufio.NewScanner(r)
	for n := 1; lines.Scan(); n++ {
		line := strings.Trim(lines.Text(), " \t")
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		id, err := parseSubID(line)
		if err != nil {
			errs = append(errs, &LineError{Line: n, Text: lines.Text(), Err: err})
			continue
		}
		ids = append(ids, id)
	}
	if err := lines.Err(); err != nil {
		errs = append(errs, fmt.Errorf("read subordinate ids: %w", err))
	}
	return ids, errors.Join(errs...)
}

func parseSubID(line string) (SubID, error) {
	fields := strings.Split(line, ":")
	if len(fields) != 3 || fields[0] == "" {
		return SubID{}, errors.New("want OWNER:FIRST:COUNT")
	}
	first, err := parseSubNumber(fields[1])
	if err != nil {
		return SubID{}, err
	}
	count, err := parseSubNumber(fields[2])
	if err != nil {
		return SubID{}, err
	}
	if first >= invalid {
		return SubID{}, fmt.Errorf("%d is more than 4294967294", first)
	}
	// A range may reach beyond the last id; what is there is no id.
	count = min(count, invalid-first)
	return SubID{Owner: fields[0], Grant: Grant{First: Kernel(first), Count: uint32(count)}}, nil
}

func parseSubNumber(s string) (uint64, error) {
	n, err := strconv.ParseUint(s, 10, 63)
	if err != nil {
		return 0, fmt.Errorf("%q is not a decimal number", s)
	}
	if len(s) > 1 && s[0] == '0' {
		return 0, fmt.Errorf("%s may be meant as octal", s)
	}
	return n, nil
}

// Of is what is granted to a user, by uid or by login name, in the order of the file. newuidmap also takes the lines of
// other login names that have the same uid: the caller, who can read /etc/passwd, names them all. Ranges
// that map no id are left out.
func (s SubIDs) Of(uid Kernel, names ...string) []Grant {
	var grants []Grant
	for _, id := range s {
		if id.Count > 0 && (uid.Mapped() && id.Owner == uid.String() || contains(names, id.Owner)) {
			grants = append(grants, id.Grant)
		}
	}
	return grants
}

func contains(names []string, name string) bool {
	for _, n := range names {
		if n != "" && n == name {
			return true
		}
	}
	return false
}

// granted reports whether the grants together have every id of want. As for newuidmap, a range may run from one grant
// into the next.
func granted(grants []Grant, want span) bool { return len(notGranted(grants, want)) == 0 }

// notGranted is what of want is in no grant.
func notGranted(grants []Grant, want span) []span {
	spans := make([]span, len(grants))
	for i, g := range grants {
		spans[i] = g.span()
	}
	return want.without(spans)
}
