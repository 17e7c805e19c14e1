package nsinspect

import (
	"slices"
	"strings"
)

// Overlay is one overlay file system (Documentation/filesystems/overlayfs.rst).
type Overlay struct {
	Dev string // MAJOR:MINOR of the superblock

	// Layers are its directories, the upper one first where it has one, as the options name them: in the root and the
	// working directory of whoever mounted it, which nothing tells.
	Layers []string

	Upper     bool // Layers[0] is the upper directory
	UserXattr bool // marks are user.overlay.* attributes, not trusted.overlay.*
	Redirects bool // directories may have been renamed: a path in the overlay may be another in a layer
	Tables    []int
}

// Overlays lists the overlays that the mount tables show, each once.
func (a *Atlas) Overlays() []Overlay {
	var list []Overlay
	at := map[string]int{}
	for t := range a.tables {
		for i := range a.tables[t].mounts {
			m := &a.tables[t].mounts[i]
			if m.FSType != "overlay" {
				continue
			}
			n, ok := at[m.Dev]
			if !ok {
				n = len(list)
				at[m.Dev] = n
				list = append(list, OverlayOf(m))
			}
			if !slices.Contains(list[n].Tables, t) {
				list[n].Tables = append(list[n].Tables, t)
			}
		}
	}
	return list
}

// OverlayOf reads the options of an overlay's superblock. Layers are separated by ":"; a backslash takes the next
// byte as it is (fs/overlayfs/params.c). Since Linux 6.8 layers that were added one by one are shown as lowerdir+=, one
// an option. What follows "::" and datadir+= holds data for files of other layers and no names.
func OverlayOf(m *Mount) Overlay {
	o := Overlay{Dev: m.Dev}
	var lower []string
	for _, option := range m.SuperOpts {
		key, value, _ := strings.Cut(option, "=")
		switch key {
		case "upperdir":
			o.Layers, o.Upper = []string{unescapeBackslash(value)}, true
		case "lowerdir":
			lower = append(lower, splitLayers(value)...)
		case "lowerdir+":
			lower = append(lower, value)
		case "userxattr":
			o.UserXattr = true
		case "redirect_dir":
			o.Redirects = value == "on" || value == "follow"
		}
	}
	o.Layers = append(o.Layers, lower...)
	return o
}

func splitLayers(s string) []string {
	var layers []string
	start := 0
	for i := 0; i <= len(s); i++ {
		switch {
		case i+1 < len(s) && s[i] == '\\':
			i++
			continue
		case i < len(s) && s[i] != ':':
			continue
		case i == start: // "::"
			return layers
		}
		layers = append(layers, unescapeBackslash(s[start:i]))
		start = i + 1
	}
	return layers
}

func unescapeBackslash(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+1 < len(s) {
			i++
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// InLayer is where a Place is below a layer's directory, "/" for the directory itself.
func InLayer(layer, p Place) (string, bool) {
	if layer.Dev != p.Dev {
		return "", false
	}
	return beneath(layer.Path, p.Path)
}
