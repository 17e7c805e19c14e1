package access

import (
	"fmt"
	"slices"
	"strings"

	"github.com/nsview/nsview/idmap"
	"github.com/nsview/nsview/nsinspect/shell"
)

// mapChanges map an id that the subject's user namespace lacks: that of an argument of chown, or of the file's owner.
func mapChanges(p problem) []change {
	ns := userNS(p.s, p.w.Host)
	if p.v.Rule != RuleChownUnmappedCaller || ns == nil || ns.Initial {
		return nil
	}
	to := *ns
	var words []string
	var ranges []string
	for _, m := range []struct {
		k    idmap.Kind
		id   idmap.Inside
		m    *idmap.Map
		flag string
	}{{idmap.UID, p.op.UID, &to.UID, "--add-subuids"}, {idmap.GID, p.op.GID, &to.GID, "--add-subgids"}} {
		if !m.id.Mapped() || m.m.Covers(m.id) {
			continue
		}
		e, ok := further(*m.m, m.id)
		if !ok {
			return nil
		}
		*m.m = append(slices.Clone(*m.m), e)
		words = append(words, m.flag, fmt.Sprintf("%d-%d", e.Outside, uint64(e.Outside)+uint64(e.Count)-1))
		ranges = append(ranges, fmt.Sprintf("%ss %s", m.k, e))
	}
	if len(words) == 0 {
		return nil
	}
	c := change{
		kind: kindMap, rank: rankMap, title: "map " + strings.Join(ranges, " and ") + " too, if nobody else has these ids (/etc/subuid, /etc/subgid, users)", restart: true,
		doubt: true,
		opens: "its user namespace has these ids",
		apply: func(_ *Subject, w *Walk) {
			for ; w != nil; w = w.New {
				w.Host.UserNS[ns.Inode] = &to
			}
		},
	}
	name := ""
	if p.w.Host.Names != nil {
		name = p.w.Host.Names.Users[idmap.Inside(ns.Owner)]
	}
	switch e := p.s.engine(); {
	case e == "nsview" || e == "":
		words = nil
		for _, m := range []struct {
			flag      string
			was, then idmap.Map
		}{{"--map-uid", ns.UID, to.UID}, {"--map-gid", ns.GID, to.GID}} {
			if len(m.then) > len(m.was) {
				words = append(words, m.flag, m.then[len(m.then)-1].String())
			}
		}
		c.how = "have its user namespace made with these lines in its maps too: nsview run " + shell.Arguments(words...)
	case ns.Owner != 0 && name != "":
		c.commands = []string{shell.Command("usermod", append(words, "--", name)...)}
		if e == "podman" {
			c.commands = append(c.commands, "runuser -u "+shell.Arguments(name)+" -- podman system migrate")
		}
		c.how = "then start the container anew"
	default:
		return nil
	}
	return []change{c}
}

// further is an extent that takes a map on to an id, from outside ids that the map does not have.
func further(m idmap.Map, id idmap.Inside) (idmap.Extent, bool) {
	first, outside := uint64(0), uint64(100000)
	for _, e := range m {
		first = max(first, uint64(e.Inside)+uint64(e.Count))
		outside = max(outside, uint64(e.Outside)+uint64(e.Count))
	}
	if uint64(id) < first {
		first = uint64(id) // a hole: this id alone
	}
	count := uint64(id) - first + 1
	if outside+count > 1<<32-2 {
		return idmap.Extent{}, false
	}
	return idmap.Extent{Inside: idmap.Inside(first), Outside: idmap.Kernel(outside), Count: uint32(count)}, true
}
