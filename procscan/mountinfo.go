package procscan

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/nsview/nsview/nsinspect"
)

const (
	// maxMountinfo bounds one table. A mount namespace may have 100,000 mounts (fs.mount-max), which is about 15 MB;
	// paths are the container's choice, so there has to be a limit.
	maxMountinfo = 256 << 20

	// maxMountLine bounds one line. Two paths of PATH_MAX bytes with every byte escaped, and the options of an overlay
	// with its list of layers (one page), stay far below.
	maxMountLine = 1 << 20
)

// parseMountinfo reads /proc/PID/mountinfo (proc_pid_mountinfo(5), show_mountinfo() in fs/proc_namespace.c):
//
//	36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue
//	(1)(2)(3)   (4)   (5)      (6)      (7)   (8) (9)   (10)         (11)
//
//	(1)  mount id: unique among the mounts that exist now, in all mount namespaces
//	(2)  id of the parent mount; its own id at the top of the tree
//	(3)  MAJOR:MINOR of the superblock (s_dev)
//	(4)  root: the directory of the file system that is mounted; TYPE:[INODE] for a namespace file. A directory that
//	     was removed since ends in "//deleted"
//	(5)  mount point, relative to the root of the process
//	(6)  options of the mount; "idmapped" stands here
//	(7)  zero or more optional fields: shared:N master:N propagate_from:N unbindable
//	(8)  the end of the optional fields
//	(9)  type of the file system, TYPE or TYPE.SUBTYPE
//	(10) source, "none" when there is none; it may be empty
//	(11) options of the superblock, to the end of the line
//
// Space, tab, newline and backslash (and # in a source) are written as octal escapes, which are undone here; options
// are split at commas first, since a comma inside an option is escaped too. Errors name the line.
func parseMountinfo(r io.Reader) ([]nsinspect.Mount, error) {
	var (
		mounts []nsinspect.Mount
		in     = bufio.NewScanner(r)
		parser = mountParser{lists: map[string][]string{}}
		line   = 0
	)
	in.Buffer(make([]byte, 0, 64<<10), maxMountLine)
	in.Split(splitLines)
	for in.Scan() {
		line++
		m, err := parser.parse(in.Text())
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", line, err)
		}
		mounts = append(mounts, m)
	}
	if err := in.Err(); err != nil {
		return nil, fmt.Errorf("line %d: %w", line+1, err)
	}
	return mounts, nil
}

// splitLines is bufio.ScanLines, but a carriage return belongs to the line: the kernel does not escape it.
func splitLines(data []byte, atEOF bool) (advance int, line []byte, err error) {
	if i := bytes.IndexByte(data, '\n'); i >= 0 {
		return i + 1, data[:i], nil
	}
	if atEOF && len(data) > 0 {
		return len(data), data, nil
	}
	return 0, nil, nil
}

// mountParser keeps the option lists it has seen: most mounts of a table share theirs.
type mountParser struct {
	lists map[string][]string
}

func (p *mountParser) parse(line string) (nsinspect.Mount, error) {
	var m nsinspect.Mount
	head, tail, ok := strings.Cut(line, " - ")
	if !ok {
		return m, errors.New("no separator \" - \"")
	}
	fields := strings.Split(head, " ")
	if len(fields) < 6 {
		return m, fmt.Errorf("%d fields before the separator, want 6 or more", len(fields))
	}
	if slices.Contains(fields[:6], "") {
		return m, errors.New("empty field before the separator")
	}
	rest := strings.SplitN(tail, " ", 3)
	if len(rest) < 3 {
		return m, fmt.Errorf("%d fields after the separator, want 3", len(rest))
	}

	var err error
	if m.ID, err = mountNumber("mount id", fields[0]); err != nil {
		return m, err
	}
	if m.Parent, err = mountNumber("parent id", fields[1]); err != nil {
		return m, err
	}
	major, minor, _ := strings.Cut(fields[2], ":")
	for _, number := range []string{major, minor} {
		if _, err := strconv.ParseUint(number, 10, 32); err != nil {
			return m, fmt.Errorf("device %q: want MAJOR:MINOR", fields[2])
		}
	}
	m.Dev = fields[2]
	m.Root = unescapeOctal(fields[3])
	m.Point = unescapeOctal(fields[4])
	m.Options = p.list(fields[5])
	m.Propagation = fields[6:]
	m.FSType = unescapeOctal(rest[0])
	m.Source = unescapeOctal(rest[1])
	m.SuperOpts = p.list(rest[2])
	m.Idmapped = slices.Contains(m.Options, "idmapped")
	return m, nil
}

// list splits comma-separated options. Lists are shared between mounts: they are read, never changed.
func (p *mountParser) list(s string) []string {
	if l, ok := p.lists[s]; ok {
		return l
	}
	l := strings.Split(s, ",")
	for i, o := range l {
		l[i] = unescapeOctal(o)
	}
	p.lists[s] = l
	return l
}

func mountNumber(what, s string) (int, error) {
	n, err := strconv.ParseUint(s, 10, 31)
	if err != nil {
		return 0, fmt.Errorf("%s %q: not a number", what, s)
	}
	return int(n), nil
}

// unescapeOctal undoes the escapes of mangle_path() and seq_escape(): a backslash and three octal digits. A backslash
// that begins no such escape stays (the kernel writes none).
func unescapeOctal(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	var b strings.Builder
	b.Grow(len(s))
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) {
			if c, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
				b.WriteByte(byte(c))
				i += 3
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// errTooLarge says that a file under a process's control is larger than anything honest.
var errTooLarge = errors.New("file too large")

// cappedReader fails, rather than ends, after n bytes: a table that is cut short would be a wrong table.
type cappedReader struct {
	r io.Reader
	n int64
}

func (c *cappedReader) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	if c.n -= int64(n); c.n < 0 {
		return 0, errTooLarge
	}
	return n, err
}
