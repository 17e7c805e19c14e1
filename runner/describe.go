package runner

import (
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/nsview/nsview/idmap"
)

// describe writes the steps down, in the order in which they are carried out.
func (p *Plan) describe(c *Caller) {
	p.Steps = nil
	p.describeSpaces()
	p.describeIDs(c)
	p.describeMounts()
	p.describeCommand()
}

func (p *Plan) step(format string, args ...any) {
	p.Steps = append(p.Steps, Step{Text: fmt.Sprintf(format, args...)})
}

func (p *Plan) describeSpaces() {
	s := &p.Spec
	for i := range s.Mounts {
		if m := s.Mounts[i]; m.Idmap {
			if uid, gid, err := p.mountMaps(m); err == nil {
				p.step("clone the mount of %s and give it the id map on disk -> seen as: uid %v, gid %v", m.Source, uid, gid)
			}
		}
	}
	for _, j := range s.Join {
		p.step("join the %s namespace of %s (%s) through %s", j.Type, j.Target, j.Path, p.Nsenter)
	}
	if len(s.New) > 0 {
		names := make([]string, len(s.New))
		for i, n := range s.New {
			names[i] = string(n)
		}
		p.step("make new namespaces: %s", strings.Join(names, ", "))
	}
}

func (p *Plan) describeIDs(c *Caller) {
	s := &p.Spec
	if s.has(User) {
		if p.Setgroups == "deny" && c.Setgroups != "deny" {
			p.step("write deny to /proc/PID/setgroups")
		}
		write := func(kind idmap.Kind, m idmap.Map, through string) {
			if len(m) == 0 {
				return
			}
			if through == "" {
				through = "directly"
			} else {
				through = "through " + through
			}
			p.step("write the %s map (inside:outside:count) %v %s", kind, m, through)
		}
		write(idmap.UID, p.UIDMap, p.UIDThrough)
		write(idmap.GID, p.GIDMap, p.GIDThrough)
	}
	for _, o := range s.TimeOffsets {
		p.step("set the %s clock off by %v", o.Clock, o.Offset)
	}
	if s.Hostname != "" {
		p.step("set the host name to %s", s.Hostname)
	}
}

func (p *Plan) describeMounts() {
	s := &p.Spec
	if s.has(Mount) {
		p.step("make every mount private, so that nothing comes or goes through propagation")
	}
	if s.Root != "" {
		p.step("mount %s as the new root", s.Root)
	}
	if s.MountProc {
		p.step("mount a procfs of the PID namespace on /proc")
	}
	if p.autoDev() {
		p.step("mount a tmpfs with null, zero, full, random, urandom and tty on /dev, if the new root has a /dev without devices")
	}
	for i, m := range s.Mounts {
		switch {
		case m.Tmpfs():
			p.step("mount a tmpfs on %s", m.Target)
		default:
			var how string
			if m.ReadOnly {
				how += ", read-only"
			}
			if m.Idmap {
				how += ", idmapped"
			}
			if p.belowTmpfs(i) {
				how += ", created in the tmpfs"
			}
			p.step("bind %s on %s%s", m.Source, m.Target, how)
		}
	}
	if s.Root != "" {
		p.step("pivot_root into it and let go of the old root")
	}
}

func (p *Plan) describeCommand() {
	s := &p.Spec
	switch {
	case len(s.CapKeep) > 0 && p.CapBound != allCaps, p.CapBound == 0:
		p.step("keep only these capabilities: %s", capList(p.CapBound))
	case p.CapBound != allCaps:
		p.step("take these capabilities away for good: %s", capList(^p.CapBound))
	}
	if p.SetGroups {
		p.step("set the supplementary groups: %s", idList(p.Groups))
	}
	if p.SetIDs {
		p.step("become uid %v and gid %v inside (%v and %v outside)", p.UID, p.GID, p.UIDMap.ToOutside(p.UID), p.GIDMap.ToOutside(p.GID))
	}
	if s.NoNewPrivs {
		p.step("set no_new_privs")
	}
	if dir := p.workdir(); dir != "" {
		p.step("change the directory to %s", dir)
	}
	if s.Detach {
		p.step("leave a process in the background that waits for the command; it does not die with nsview")
	} else {
		p.step("die with nsview (PR_SET_PDEATHSIG)")
	}
	if s.Report {
		p.step("look at it from both sides, for the report")
	}
	if s.Pin != "" {
		p.step("keep the new namespaces as files in %s", s.Pin)
	}
	if s.Name != "" {
		p.step("write state.json for %s, and remove it at the end", s.Name)
	}
	verb := "execute"
	if s.Init {
		verb = "be the init, PID 1, and start"
	}
	p.step("%s %q", verb, s.Command)
}

func idList(ids []idmap.Inside) string {
	if len(ids) == 0 {
		return "none"
	}
	words := make([]string, len(ids))
	for i, id := range ids {
		words[i] = id.String()
	}
	return strings.Join(words, ",")
}

// workdir is where the command starts, "" for where the caller is.
func (p *Plan) workdir() string {
	if p.Spec.Workdir == "" && p.Spec.Root != "" {
		return "/"
	}
	return p.Spec.Workdir
}

// autoDev reports whether the new root gets a minimal /dev, unless it brings its own.
func (p *Plan) autoDev() bool {
	if p.Spec.Root == "" {
		return false
	}
	for _, m := range p.Spec.Mounts {
		if filepath.Clean(m.Target) == "/dev" {
			return false
		}
	}
	return true
}

// offsetLine is a line of /proc/PID/timens_offsets: clock, seconds, nanoseconds (time_namespaces(7)).
func (o TimeOffset) offsetLine() string {
	seconds := o.Offset / time.Second
	nanos := o.Offset % time.Second
	if nanos < 0 {
		seconds, nanos = seconds-1, nanos+time.Second
	}
	return fmt.Sprintf("%s %d %d\n", o.Clock, seconds, nanos)
}
