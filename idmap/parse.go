package idmap

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// LineError is a line that does not say what its file should say.
type LineError struct {
	Line int    // counted from 1
	Text string // the line, without its end
	Err  error
}

// Error names the line and quotes it.
func (e *LineError) Error() string { return fmt.Sprintf("line %d: %q: %v", e.Line, e.Text, e.Err) }

// Unwrap is what is wrong with the line.
func (e *LineError) Unwrap() error { return e.Err }

// usualMap is room for the few lines that most maps have.
const usualMap = 256

// Parse reads what /proc/PID/uid_map or gid_map says (user_namespaces(7)): lines of three decimal numbers, separated by
// blanks: the first id inside, the first id outside, the count. Lines stay in their order. An outside of 4294967295 is
// [UnmappedKernel]: the ids have no mapping in the reader's user namespace.
//
// Nothing else is read as a map: any other line is a [*LineError]. Parse judges the form only; whether the kernel would
// take the map is a question for [Validate].
func Parse(r io.Reader) (Map, error) {
	var m Map
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 0, usualMap), bufio.MaxScanTokenSize) // for thousands of maps, the default is much to clear
	for n := 1; lines.Scan(); n++ {
		e, err := parseTriple(lines.Text())
		if err != nil {
			return nil, &LineError{Line: n, Text: lines.Text(), Err: err}
		}
		m = append(m, e)
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("read id map: %w", err)
	}
	return m, nil
}

// Format is the text to write to /proc/PID/uid_map or gid_map for m: a line an extent, with single spaces.
func (m Map) Format() string {
	var b []byte
	for _, e := range m {
		b = strconv.AppendUint(b, uint64(e.Inside), 10)
		b = append(b, ' ')
		b = strconv.AppendUint(b, uint64(e.Outside), 10)
		b = append(b, ' ')
		b = strconv.AppendUint(b, uint64(e.Count), 10)
		b = append(b, '\n')
	}
	return string(b)
}

// ParseExtent reads INSIDE:OUTSIDE:COUNT, the spelling of nsview's flags (and podman's, docker's and unshare's order).
func ParseExtent(s string) (Extent, error) {
	fields := strings.Split(s, ":")
	e, err := extentOf(fields)
	if err != nil {
		return Extent{}, fmt.Errorf("id map extent %q: %w", s, err)
	}
	return e, nil
}

// String is INSIDE:OUTSIDE:COUNT, with "unmapped" for ids that the reader cannot name.
func (e Extent) String() string {
	return e.Inside.String() + ":" + e.Outside.String() + ":" + strconv.FormatUint(uint64(e.Count), 10)
}

// String is the extents, separated by commas, or "nothing" for a Map that maps nothing.
func (m Map) String() string {
	if len(m) == 0 {
		return "nothing"
	}
	words := make([]string, len(m))
	for i, e := range m {
		words[i] = e.String()
	}
	return strings.Join(words, ",")
}

// errFields says that a spelling of an extent does not have three numbers.
var errFields = errors.New("want three numbers: inside, outside, count")

// errKind says that a spelling does not begin with the kind of ids.
var errKind = errors.New("want u, g or b first")

func parseTriple(line string) (Extent, error) { return extentOf(blankFields(line)) }

// blankFields splits at spaces and tabs. strings.Fields would also split at what only Unicode calls a space.
func blankFields(s string) []string {
	return strings.FieldsFunc(s, func(r rune) bool { return r == ' ' || r == '\t' })
}

func extentOf(fields []string) (Extent, error) {
	if len(fields) != 3 {
		return Extent{}, errFields
	}
	var n [3]uint32
	for i, field := range fields {
		v, err := parseID(field)
		if err != nil {
			return Extent{}, err
		}
		n[i] = v
	}
	return Extent{Inside: Inside(n[0]), Outside: Kernel(n[1]), Count: n[2]}, nil
}

// parseID reads decimal digits and nothing else.
func parseID(s string) (uint32, error) {
	n, err := strconv.ParseUint(s, 10, 32)
	switch {
	case errors.Is(err, strconv.ErrRange):
		return 0, fmt.Errorf("%s is more than 4294967295", s)
	case err != nil:
		return 0, fmt.Errorf("%q is not a decimal number", s)
	}
	return uint32(n), nil
}
