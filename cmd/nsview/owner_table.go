package main

import (
	"io/fs"
	"slices"
	"strconv"
	"strings"

	"github.com/nsview/nsview/cmd/nsview/internal/render"
	"github.com/nsview/nsview/idmap"
	"github.com/nsview/nsview/nsinspect"
)

// ownerTable has a line a view; several files have a column for the file.
func ownerTable(r *nsinspect.OwnerReport, several, wide bool) *render.Table {
	t := &render.Table{Header: []string{"VIEWER", "PID", "MODE", "USER", "GROUP", "UID", "GID"}}
	if several {
		t.Header = append([]string{"FILE"}, t.Header...)
	}
	if wide {
		t.Header = append(t.Header, "SIZE", "MODIFIED", "HOST-UID", "HOST-GID", "ON-DISK", "MOUNT", "FSTYPE", "IDMAP", "FLAGS")
	}
	volumes := wide || hasVolume(r)
	if volumes {
		t.Header = append(t.Header, "VOLUME")
	}
	t.Header = append(t.Header, "PATH")
	t.KeepEnd = []int{len(t.Header) - 1}
	if !wide { // who sees it where is asked for before these two
		t.Spare = columnsOf(t.Header, "PID", "MODE")
		t.Narrow = columnsOf(t.Header, "GID", "UID", "GROUP")
	}
	if several {
		t.KeepEnd = append(t.KeepEnd, 0)
	}
	for i := range r.Files {
		f := &r.Files[i]
		for j := range f.Views {
			v := &f.Views[j]
			row := ownerRow(f, v)
			if several {
				row = append([]string{f.Path}, row...)
			}
			if wide {
				row = append(row, ownerWide(f, v)...)
			}
			if volumes {
				row = append(row, v.Mount.Volume)
			}
			t.Rows = append(t.Rows, append(row, v.Path))
		}
	}
	return t
}

// hasVolume reports whether any file is in what an engine calls a volume.
func hasVolume(r *nsinspect.OwnerReport) bool {
	return slices.ContainsFunc(r.Files, func(f nsinspect.FileOwners) bool {
		return slices.ContainsFunc(f.Views, func(v nsinspect.OwnerView) bool { return v.Mount.Volume != "" })
	})
}

func ownerRow(f *nsinspect.FileOwners, v *nsinspect.OwnerView) []string {
	pid := ""
	if v.PID != nil {
		pid = strconv.Itoa(*v.PID)
	}
	uid, gid := viewID(v.UnknownIDs, "uid", v.UID), viewID(v.UnknownIDs, "gid", v.GID)
	return []string{shortViewer(v.Viewer), pid, modeText(f.Type, f.Mode), ownerName(v.User, uid), ownerName(v.Group, gid), uid, gid}
}

// viewID is an id, or why there is none.
func viewID(unknown []string, which string, id idmap.Inside) string {
	if slices.Contains(unknown, which) {
		return "unknown"
	}
	return id.String()
}

// ownerName is a name, or the number as ls -l prints it.
func ownerName(name, id string) string {
	if name != "" {
		return name
	}
	return id
}

func ownerWide(f *nsinspect.FileOwners, v *nsinspect.OwnerView) []string {
	var flags []string
	if v.Mount.ReadOnly {
		flags = append(flags, "ro")
	}
	if v.Mount.Idmapped {
		flags = append(flags, "idmapped")
	}
	if !v.Confirmed {
		flags = append(flags, "unconfirmed")
	}
	host := []string{v.Host.UID.String(), v.Host.GID.String()}
	disk := "unknown"
	if f.OnDisk.UID.Mapped() && f.OnDisk.GID.Mapped() {
		disk = f.OnDisk.UID.String() + ":" + f.OnDisk.GID.String()
	}
	facts := append([]string{sizeText(f.Size), modifiedText(f.Modified, f.Age)}, host...)
	return append(facts, disk, v.Mount.Point, v.Mount.FSType, mountMapText(&v.Mount), strings.Join(flags, ","))
}

// mountMapText is the map of an idmapped mount, ON-DISK:SEEN-AS:COUNT; where users and groups differ, both.
func mountMapText(m *nsinspect.OwnerMount) string {
	text := func(list idmap.MountMap) string {
		parts := make([]string, len(list))
		for i, e := range list {
			parts[i] = e.String()
		}
		return strings.Join(parts, ",")
	}
	users, groups := text(m.UIDMap), text(m.GIDMap)
	if users == groups {
		return users
	}
	return "u:" + users + " g:" + groups
}

// modeText is a type and a mode as ls -l prints them.
func modeText(kind, mode string) string {
	bits, err := strconv.ParseUint(mode, 8, 32)
	if err != nil {
		return mode
	}
	letters := map[string]byte{
		"regular": '-', "directory": 'd', "symlink": 'l', "fifo": 'p', "socket": 's', "char_device": 'c', "block_device": 'b',
	}
	letter, ok := letters[kind]
	if !ok {
		letter = '?'
	}
	text := []byte(fs.FileMode(bits & 0o777).String())
	text[0] = letter
	for _, special := range []struct {
		bit      uint64
		at       int
		set, not byte
	}{{0o4000, 3, 's', 'S'}, {0o2000, 6, 's', 'S'}, {0o1000, 9, 't', 'T'}} {
		if bits&special.bit == 0 {
			continue
		}
		if text[special.at] == 'x' {
			text[special.at] = special.set
		} else {
			text[special.at] = special.not
		}
	}
	return string(text)
}
