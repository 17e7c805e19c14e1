package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/nsview/nsview/cmd/nsview/internal/render"
	"github.com/nsview/nsview/nsinspect"
)

// diffMountTable has a row for each mount point at which the two see something else. Unless it is wide, what seldom
// matters for a volume is counted in the last row.
func diffMountTable(d *nsinspect.Diff, wide bool) *render.Table {
	t := &render.Table{Header: []string{"MOUNT", sideText(&d.A), sideText(&d.B)}}
	ofA, ofB := 0, 0
	for i := range d.Mounts {
		m := &d.Mounts[i]
		switch {
		case wide:
			t.Rows = append(t.Rows, []string{m.Point, mountLine(m.A), mountLine(m.B)})
		case seldomMatters(d, m):
			if m.A != nil {
				ofA++
			}
			if m.B != nil {
				ofB++
			}
		default:
			t.Rows = append(t.Rows, []string{m.Point, mountText(m.A, m.B), mountText(m.B, m.A)})
		}
	}
	if ofA+ofB > 0 {
		t.Rows = append(t.Rows, []string{"others (-o wide)", strconv.Itoa(ofA), strconv.Itoa(ofB)})
	}
	return t
}

// seldomMatters reports whether a mount is one of the many that every container has or lacks, and no volume.
func seldomMatters(d *nsinspect.Diff, m *nsinspect.MountDiff) bool {
	for _, dir := range []string{"/dev/", "/proc/", "/sys/"} {
		if strings.HasPrefix(m.Point, dir) {
			return true
		}
	}
	hostOnly := m.B == nil && d.A.Container == nil && d.B.Container != nil
	return hostOnly || m.A == nil && d.B.Container == nil && d.A.Container != nil
}

// mountLine is all of a mount: the directory of which file system, how.
func mountLine(m *nsinspect.Mount) string {
	if m == nil {
		return ""
	}
	return fmt.Sprintf("%s %s:%s %s", m.FSType, m.Dev, m.Root, strings.Join(m.Options, ","))
}

// mountText is what matters of a mount for whoever uses it, and what tells it from the other side's at that point.
func mountText(m, other *nsinspect.Mount) string {
	if m == nil {
		return ""
	}
	text := m.FSType
	if other != nil && other.Dev != m.Dev && other.FSType == m.FSType && other.Root == m.Root {
		text += " " + m.Dev
	}
	if m.Root != "/" || other != nil && other.Root != "/" {
		text += " " + m.Root
	}
	sameFS := other != nil && other.Dev == m.Dev && other.Root == m.Root
	for _, o := range m.Options {
		if o == "ro" || o == "idmapped" || sameFS && !slices.Contains(other.Options, o) {
			text += " " + o
		}
	}
	if sameFS && m.Idmapped && other.Idmapped && m.MapKnown {
		text += fmt.Sprintf(" uid %v gid %v", m.UIDMap, m.GIDMap)
	}
	return text
}
