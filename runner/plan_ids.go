package runner

import (
	"fmt"
	"slices"
	"strings"

	"github.com/nsview/nsview/idmap"
)

// planMaps builds the maps of a new user namespace and refuses what the kernel, or newuidmap, would refuse.
func (p *Plan) planMaps(c *Caller) error {
	s := &p.Spec
	p.Setgroups = "allow"
	if c.Setgroups == "deny" {
		p.Setgroups = "deny" // inherited, and final
	}
	if j := s.joined(User); j != nil {
		p.UIDMap, p.GIDMap, p.Setgroups = j.UIDMap, j.GIDMap, j.Setgroups
		return nil
	}
	if !s.has(User) {
		p.UIDMap, p.GIDMap = identityOf(c.UIDMap), identityOf(c.GIDMap)
		return nil
	}
	if s.Setgroups != "" && s.Setgroups != "allow" && s.Setgroups != "deny" {
		return refuse("--setgroups "+s.Setgroups, "--setgroups allow or --setgroups deny", "neither allow nor deny")
	}
	if s.Setgroups == "allow" && c.Setgroups == "deny" {
		return refuse("--setgroups allow", "", "setgroups is denied in your own user namespace, and in all below it")
	}
	if s.Setgroups != "" {
		p.Setgroups = s.Setgroups
	}
	if !s.mapped() {
		return nil
	}
	var err error
	if p.UIDMap, err = s.buildMap(c, idmap.UID); err != nil {
		return err
	}
	if p.GIDMap, err = s.buildMap(c, idmap.GID); err != nil {
		return err
	}
	if p.UIDThrough, err = p.judgeMap(c, idmap.UID); err != nil {
		return err
	}
	p.GIDThrough, err = p.judgeMap(c, idmap.GID)
	return err
}

// identityOf is the map of a command that stays in the caller's user namespace, whose ids are inside = outside.
func identityOf(own idmap.Map) idmap.Map {
	m := make(idmap.Map, 0, len(own))
	for _, e := range own {
		m = append(m, idmap.Extent{Inside: e.Inside, Outside: idmap.Kernel(e.Inside), Count: e.Count})
	}
	return m
}

// buildMap is the map of one kind that the flags ask for.
func (s *Spec) buildMap(c *Caller, kind idmap.Kind) (idmap.Map, error) {
	extents, other, own, grants := s.MapUID, s.MapGID, c.UID, c.Newuidmap.Grants
	if kind == idmap.GID {
		extents, other, own, grants = s.MapGID, s.MapUID, c.GID, c.Newgidmap.Grants
	}
	if len(extents) == 0 {
		extents = other
	}
	m := slices.Clone(idmap.Map(extents))
	add := func(e idmap.Extent) {
		if !slices.Contains(m, e) {
			m = append(m, e)
		}
	}
	if s.MapRoot {
		add(idmap.Extent{Inside: 0, Outside: own, Count: 1})
	}
	if s.MapCurrent {
		add(idmap.Extent{Inside: idmap.Inside(own), Outside: own, Count: 1})
	}
	if !s.MapAuto {
		return m, nil
	}
	if len(grants) == 0 {
		return nil, noGrant(c, kind)
	}
	return fillFree(m, grants), nil
}

// noGrant says that --map-auto has nothing to map, and what would help. A grant is always a user's, whichever kind of ids
// it is of.
func noGrant(c *Caller, kind idmap.Kind) error {
	login, setid := c.Login, capSetuid
	if kind == idmap.GID {
		setid = capSetgid
	}
	if login == "" {
		login = "LOGIN"
	}
	hint := fmt.Sprintf("root grants a range with usermod --add-sub%ss FIRST-LAST %s", kind, login)
	if capHas(c.Caps, setid) {
		hint = fmt.Sprintf("you need no grant: choose the ids, as in --map-%s 0:100000:65536", kind)
	}
	return refuse("--map-auto", hint, "/etc/sub%s grants no %ss to uid %v", kind, kind, c.UID)
}

// fillFree puts the grants where no extent of m is inside yet, from inside id 0 on.
func fillFree(m idmap.Map, grants []idmap.Grant) idmap.Map {
	taken := slices.Clone(m)
	slices.SortFunc(taken, func(a, b idmap.Extent) int {
		switch {
		case a.Inside < b.Inside:
			return -1
		case a.Inside > b.Inside:
			return 1
		}
		return 0
	})
	next := uint64(0)
	for _, g := range grants {
		first, left := uint64(g.First), uint64(g.Count)
		for left > 0 && next < 1<<32-1 {
			for len(taken) > 0 && uint64(taken[0].Inside) <= next {
				next = max(next, uint64(taken[0].Inside)+uint64(taken[0].Count))
				taken = taken[1:]
			}
			n := min(left, 1<<32-1-next)
			if len(taken) > 0 {
				n = min(n, uint64(taken[0].Inside)-next)
			}
			if n == 0 {
				continue
			}
			m = append(m, idmap.Extent{Inside: idmap.Inside(next), Outside: idmap.Kernel(first), Count: uint32(n)})
			next, first, left = next+n, first+n, left-n
		}
	}
	return m
}

// judgeMap decides who writes the map of a kind, and asks package idmap whether it will be taken.
func (p *Plan) judgeMap(c *Caller, kind idmap.Kind) (through string, err error) {
	m, parent, own, setid, newidmap, path := p.UIDMap, c.UIDMap, c.UID, capSetuid, c.Newuidmap, c.NewuidmapPath
	if kind == idmap.GID {
		m, parent, own, setid, newidmap, path = p.GIDMap, c.GIDMap, c.GID, capSetgid, c.Newgidmap, c.NewgidmapPath
	}
	ownOnly := len(m) == 1 && m[0].Count == 1 && m[0].Outside == own
	direct := capHas(c.Caps, setid) || ownOnly
	if kind == idmap.GID && direct && !capHas(c.Caps, setid) && p.Spec.Setgroups == "" {
		p.Setgroups = "deny" // the price of writing it unprivileged
	}
	w := idmap.Writer{
		Kind: kind, EUID: c.UID, EGID: c.GID, Owner: c.UID, Parent: parent,
		CapSysAdmin: true, // the owner of the new namespace writes from its parent
		CapSetID:    capHas(c.Caps, setid), CapSetFCAP: capHas(c.Caps, capSetfcap),
		Setgroups: p.Setgroups,
	}
	if !direct {
		w.Newidmap, through = &newidmap, path
	}
	problems := idmap.Validate(m, w)
	if len(problems) == 0 {
		return through, nil
	}
	var details, accepted []string
	for _, problem := range problems {
		details = append(details, problem.Detail)
		if problem.Accepted != "" && !slices.Contains(accepted, problem.Accepted) {
			accepted = append(accepted, problem.Accepted)
		}
	}
	hint := ""
	if len(accepted) > 0 {
		hint = "accepted would be " + strings.Join(accepted, "; ")
	}
	if p.Spec.Setgroups == "allow" && slices.ContainsFunc(problems, func(p idmap.Problem) bool { return p.Rule == idmap.RuleSetgroups }) {
		hint = "--setgroups deny, or leave it out; gids of a grant (--map-auto) go with allow"
	}
	return "", refuse(mapName(kind, m), hint, "%s", strings.Join(details, "; "))
}

// mapName is a map in an error message, of which a long one would hide the rest.
func mapName(kind idmap.Kind, m idmap.Map) string {
	if len(m) > 8 {
		return fmt.Sprintf("%s map of %d extents", kind, len(m))
	}
	return fmt.Sprintf("%s map %v", kind, m)
}

// planCredentials decides whom the command runs as.
func (p *Plan) planCredentials(c *Caller) error {
	s := &p.Spec
	ownNS := s.has(User) || s.joined(User) != nil
	if s.has(User) && !s.mapped() {
		if s.UID != nil || s.GID != nil || s.Groups != nil {
			return refuse("--uid, --gid, --groups", "add --map-root, --map-current, --map-auto or --map-uid", "the new user namespace maps no id")
		}
		return nil
	}
	var err error
	if p.UID, err = pickID("uid", s.UID, c.UID, p.UIDMap); err != nil {
		return err
	}
	if p.GID, err = pickID("gid", s.GID, c.GID, p.GIDMap); err != nil {
		return err
	}
	change := p.UIDMap.ToOutside(p.UID) != c.UID || p.GIDMap.ToOutside(p.GID) != c.GID
	may := ownNS || capHas(c.Caps, capSetuid) && capHas(c.Caps, capSetgid)
	if (change || s.Groups != nil) && !may {
		return refuse("--uid, --gid, --groups", "add --map-auto for a user namespace with your granted ids", "other ids than your own need CAP_SETUID and CAP_SETGID, which uid %v here does not have", c.UID)
	}
	p.SetIDs = change || s.UID != nil || s.GID != nil
	if s.Groups == nil {
		p.SetGroups = p.SetIDs && may && p.Setgroups != "deny"
		return nil
	}
	if p.Setgroups == "deny" {
		return refuse("--groups", "it is allowed with gids of a grant, as --map-auto maps them", "setgroups is denied in the user namespace")
	}
	for _, g := range s.Groups {
		if !p.GIDMap.Covers(g) {
			return refuse(fmt.Sprintf("--groups %v", g), "mapped gids: "+insideText(p.GIDMap), "not mapped inside")
		}
	}
	p.Groups, p.SetGroups = s.Groups, true
	return nil
}

// pickID is the id asked for, else the caller's own when that is mapped, else 0, else the lowest there is.
func pickID(kind string, asked *idmap.Inside, own idmap.Kernel, m idmap.Map) (idmap.Inside, error) {
	if asked != nil {
		if !m.Covers(*asked) {
			return 0, refuse(fmt.Sprintf("--%s %v", kind, *asked), "mapped "+kind+"s: "+insideText(m), "not mapped inside")
		}
		return *asked, nil
	}
	if id := m.ToInside(own); id.Mapped() {
		return id, nil
	}
	lowest := idmap.UnmappedInside
	for _, e := range m {
		lowest = min(lowest, e.Inside)
	}
	return lowest, nil
}

// insideText lists the inside ids of m for a message.
func insideText(m idmap.Map) string {
	if len(m) == 0 {
		return "nothing"
	}
	var words []string
	for _, e := range m.Normalise() {
		last := uint64(e.Inside) + uint64(e.Count) - 1
		if e.Count == 1 {
			words = append(words, e.Inside.String())
			continue
		}
		words = append(words, fmt.Sprintf("%v-%d", e.Inside, last))
	}
	return strings.Join(words, ", ")
}
