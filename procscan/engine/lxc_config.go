package engine

import (
	"bytes"
	"iter"
	"path"
	"slices"
	"strings"

	"github.com/nsview/nsview/idmap"
	"github.com/nsview/nsview/nsinspect"
)

// lxcConfig is what a container's configuration says (lxc.container.conf(5)), as far as it is read. lxc.environment is
// not.
type lxcConfig struct {
	uid, gid         idmap.Map
	rootfs           string
	initUID, initGID string
	entries          []string // lines as in fstab(5)
}

// maxIncludes bounds how deep configurations include others.
const maxIncludes = 8

// lxcLines are the keys and values of a configuration.
func lxcLines(data []byte) iter.Seq2[string, string] {
	return func(yield func(string, string) bool) {
		for line := range bytes.Lines(data) {
			line = bytes.TrimSpace(line)
			key, value, ok := strings.Cut(string(line), "=")
			if ok && !strings.HasPrefix(key, "#") && !yield(strings.TrimSpace(key), strings.Trim(strings.TrimSpace(value), `"'`)) {
				return
			}
		}
	}
}

// lxcIncludes are the patterns of what a configuration includes, and what that includes.
func lxcIncludes(e *Evidence, f *File) []Pattern {
	var patterns []Pattern
	lxcWalk(e, f, maxIncludes, func(key, value string) {
		if key == "lxc.include" && path.IsAbs(value) && !strings.ContainsAny(value, globMeta) {
			value = path.Clean(value)
			// It is a file or a directory; only the one that it is has something to read.
			patterns = append(patterns, Pattern{Glob: value, Owner: f.By}, Pattern{Glob: value + "/*.conf", Owner: f.By})
		}
	})
	return patterns
}

// lxcWalk visits the lines of a configuration and of what it includes, in the order that they count.
func lxcWalk(e *Evidence, f *File, depth int, visit func(key, value string)) {
	for key, value := range lxcLines(f.Data) {
		visit(key, value)
		if key != "lxc.include" || depth == 0 || !path.IsAbs(value) || strings.ContainsAny(value, globMeta) {
			continue
		}
		value = path.Clean(value)
		if included := e.fileBy(value, f.By); included != nil {
			lxcWalk(e, included, depth-1, visit)
		}
		for _, included := range e.matching(value + "/*.conf") {
			if included.By == f.By {
				lxcWalk(e, included, depth-1, visit)
			}
		}
	}
}

// lxcConfigOf reads a configuration. An empty value takes back what was said before. The names of LXC before 3.0 are
// known too.
func lxcConfigOf(e *Evidence, f *File) *lxcConfig {
	c := &lxcConfig{}
	lxcWalk(e, f, maxIncludes, func(key, value string) {
		switch key {
		case "lxc.idmap", "lxc.id_map":
			if value == "" {
				c.uid, c.gid = nil, nil
			}
			c.mapped(value)
		case "lxc.mount.entry":
			if value == "" {
				c.entries = nil
				break
			}
			c.entries = append(c.entries, value)
		case "lxc.rootfs.path", "lxc.rootfs":
			c.rootfs = value
			// dir:PATH, overlay:LOWER:UPPER, ...: PATH alone is a directory.
			if kind, rest, ok := strings.Cut(value, ":"); ok && !strings.Contains(kind, "/") {
				c.rootfs, _, _ = strings.Cut(rest, ":")
			}
		case "lxc.init.uid", "lxc.init_uid":
			c.initUID = value
		case "lxc.init.gid", "lxc.init_gid":
			c.initGID = value
		}
	})
	return c
}

func (c *lxcConfig) mapped(value string) {
	list, err := idmap.ParseLXC(value)
	if err != nil {
		return // LXC does not start such a container
	}
	for _, x := range list {
		if x.Kind == idmap.UID {
			c.uid = append(c.uid, x.Extent)
		} else {
			c.gid = append(c.gid, x.Extent)
		}
	}
}

// facts are the maps, the user and the mounts.
func (c *lxcConfig) facts() (uid, gid idmap.Map, user string, mounts []nsinspect.EngineMount) {
	user = c.initUID
	if user != "" && c.initGID != "" {
		user += ":" + c.initGID
	}
	for _, entry := range c.entries {
		if m, ok := c.mount(entry); ok {
			mounts = append(mounts, m)
		}
	}
	return c.uid, c.gid, user, mounts
}

// mount is an entry in the form of fstab(5). Its mount point is relative to the container's root directory, or a path on
// the host that has it.
func (c *lxcConfig) mount(entry string) (nsinspect.EngineMount, bool) {
	f := strings.Fields(entry)
	if len(f) < 3 {
		return nsinspect.EngineMount{}, false
	}
	unescape := strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`).Replace
	m := nsinspect.EngineMount{Type: f[2], Source: unescape(f[0])}
	if len(f) > 3 {
		m.Options = strings.Split(f[3], ",")
	}
	destination := unescape(f[1])
	if c.rootfs != "" {
		destination = strings.TrimPrefix(destination, c.rootfs+"/")
	}
	m.Destination = path.Join("/", destination)
	m.ReadOnly = slices.Contains(m.Options, "ro")
	if slices.Contains(m.Options, "bind") || slices.Contains(m.Options, "rbind") {
		m.Type = "bind"
	}
	if slices.Contains(m.Options, "relative") && c.rootfs != "" {
		m.Source = path.Join(c.rootfs, m.Source)
	}
	return m, true
}
