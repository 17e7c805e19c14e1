package access

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/nsview/nsview/nsinspect/shell"
)

// The kinds of changes to a mount.
const (
	kindMount kind = "mount"
	kindIdmap kind = "idmap"
)

// mountFlag is a flag of a mount that refuses something, and what lifts it.
type mountFlag struct {
	name  string // as mountinfo has it
	lift  string // the option of mount(8) that lifts it
	word  string // "make the mount WORD"
	opens string
	clear func(*Mount)
}

func mountFlagOf(r Rule) (mountFlag, bool) {
	switch r {
	case RuleROMount:
		return mountFlag{"ro", "rw", "writable", "write", func(m *Mount) { m.ReadOnly = false }}, true
	case RuleNoExec:
		return mountFlag{"noexec", "exec", "allow programs", "run programs", func(m *Mount) { m.NoExec = false }}, true
	case RuleNoDev:
		return mountFlag{"nodev", "dev", "allow devices", "use devices, also those that a container made or was given,", func(m *Mount) { m.NoDev = false }}, true
	case RuleNoSymfollow:
		return mountFlag{"nosymfollow", "symfollow", "follow symbolic links", "follow symbolic links", func(m *Mount) { m.NoSymfollow = false }}, true
	}
	return mountFlag{}, false
}

// mountChanges change a flag of the mount that refuses, or of its file system.
func mountChanges(p problem) []change {
	n := p.node
	if n == nil || n.Mount == nil || n.Mount.Foreign {
		return nil
	}
	if p.v.Rule == RuleROSuper {
		return superChanges(p, n)
	}
	flag, ok := mountFlagOf(p.v.Rule)
	if !ok {
		return nil
	}
	m := *n.Mount
	flag.clear(&m)
	apply := func(_ *Subject, w *Walk) {
		eachNode(w, func(x *Node) {
			if x.Mount != nil && x.Mount.ID == m.ID && x.Mount.Point == m.Point {
				flag.clear(x.Mount)
			}
		})
	}
	var list []change
	// An engine makes the mounts of a container in its mount namespace; a bare one may have copied what it has.
	ns := userNS(p.s, p.w.Host)
	locked := slices.Contains(m.Locked, flag.name) || p.s.engine() == "" && flag.name != "nosymfollow" && (ns == nil || !ns.Initial)
	if p.s.PID != 0 {
		c := change{
			kind: kindMount, rank: rankFlag, title: fmt.Sprintf("make the mount on %s %s", shell.Arguments(m.Point), flag.word),
			commands: []string{shell.Command("mount", "-N", strconv.Itoa(p.s.PID), "-o", "remount,bind,"+mountFlags(&m, flag.lift), "--", m.Point)},
			opens:    fmt.Sprintf("whoever has permission in this mount namespace may %s below %s, until it is mounted anew", flag.opens, shell.Arguments(m.Point)), apply: apply,
		}
		if locked {
			c.title += ", unless it came with that flag from the host, where the kernel locks it"
			c.doubt = true
		}
		list = append(list, c)
	}
	if locked {
		list = append(list, change{
			kind: kindMount, rank: rankFlag, restart: true, apply: apply, doubt: true,
			title: fmt.Sprintf("make the mount that %s comes from %s on the host", shell.Arguments(m.Point), flag.word),
			how:   fmt.Sprintf("mount -o remount,bind,%s on the host's mount of it, and start the container anew: a flag that was set before the mount namespace was made is locked in it", flag.lift),
			opens: fmt.Sprintf("whoever has permission may %s there, on the host too", flag.opens),
		})
	}
	if v := p.s.volume(n.Mount); v != nil && p.v.Rule == RuleROMount {
		if how := p.s.volumeHow(v, ""); how != "" {
			list = append(list, change{
				kind: kindMount, rank: rankFlag, title: fmt.Sprintf("mount %s writable (no :ro)", shell.Arguments(m.Point)), restart: true,
				how: how, opens: fmt.Sprintf("the container may write below %s where it has permission", shell.Arguments(v.Source)), apply: apply,
			})
		}
	}
	return list
}

// mountFlags are all flags of a mount as mount(8) takes them. The one that is lifted is named too: depending on its
// version, mount(8) keeps a flag that it is told nothing of (2.38 does), or takes it away.
func mountFlags(m *Mount, lift string) string {
	flags := "rw"
	if m.ReadOnly {
		flags = "ro"
	}
	if lift != "rw" {
		flags += "," + lift
	}
	for _, f := range []struct {
		set  bool
		name string
	}{{m.NoSUID, "nosuid"}, {m.NoDev, "nodev"}, {m.NoExec, "noexec"}, {m.NoSymfollow, "nosymfollow"}} {
		if f.set {
			flags += "," + f.name
		}
	}
	return flags
}

// superChanges make a whole file system writable. Its options are left as they are, and not read from mountinfo and given
// to it again as mount(8) would: the ids among them are others there than in its user namespace.
func superChanges(p problem, n *Node) []change {
	if p.s.PID == 0 || n.Mount.Super == nil || n.Overlay != nil && !n.Overlay.Writable {
		return nil
	}
	if o := n.Overlay; o != nil && o.UpperReadOnly == Yes && !n.Mount.Super.ReadOnly {
		return []change{upperChange()}
	}
	m := *n.Mount
	m.ReadOnly = false
	flags := mountFlags(&m, "rw")
	for _, o := range m.Super.Options {
		if slices.Contains([]string{"sync", "dirsync", "lazytime"}, o) {
			flags += "," + o
		}
	}
	return []change{{
		kind: kindMount, rank: rankSuper, title: fmt.Sprintf("make the file system on %s writable", shell.Arguments(n.Mount.Point)),
		commands: []string{shell.Command("mount", "-N", strconv.Itoa(p.s.PID), "--options-mode", "ignore", "-o", "remount,"+flags, "--", m.Point)},
		opens:    "whoever has permission may write to this file system, wherever it is mounted writable",
		apply: func(_ *Subject, w *Walk) {
			eachNode(w, func(x *Node) {
				if x.Mount != nil && x.Mount.Super != nil && x.Mount.Super.Dev == n.Mount.Super.Dev {
					x.Mount.Super.ReadOnly = false
				}
				if x.Mount != nil && x.Mount.ID == m.ID {
					x.Mount.ReadOnly = false
				}
			})
		},
	}}
}

// upperChange makes the file system of an overlay's upper layer writable. Whoever made it read-only, maybe the kernel after an
// error, knows why.
func upperChange() change {
	return change{
		kind: kindMount, rank: rankSuper, title: "make the file system of the overlay's upper layer writable again",
		how:   "mount -o remount,rw on that file system; when nobody made it read-only the kernel did after an error, which dmesg tells: check it first (fsck)",
		opens: "whoever has permission may write to that file system, wherever it is mounted writable",
		apply: func(_ *Subject, w *Walk) {
			eachNode(w, func(x *Node) {
				if x.Overlay != nil && x.Overlay.UpperReadOnly == Yes {
					x.Overlay.UpperReadOnly = No
				}
			})
		},
	}
}
