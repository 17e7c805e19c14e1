package engine

import (
	"encoding/json"
	"path"
	"slices"
	"strings"

	"github.com/nsview/nsview/nsinspect"
)

// dockerHostConfig is hostconfig.json, as far as it is read (moby: api/types/container/hostconfig.go).
type dockerHostConfig struct {
	Privileged, ReadonlyRootfs bool
	CapAdd, CapDrop, GroupAdd  []string
	UsernsMode                 string
	Tmpfs                      map[string]string
}

// dockerHostConfigOf is that of the container whose record is f, nil where it cannot be read.
func dockerHostConfigOf(e *dockerEvidence, f *File) *dockerHostConfig {
	host := e.fileBy(path.Dir(f.Path)+"/hostconfig.json", f.By)
	var h dockerHostConfig
	if host == nil || json.Unmarshal(host.Data, &h) != nil {
		return nil
	}
	return &h
}

// dockerCaps are the capabilities that docker gives by default (moby: oci/caps/defaults.go).
const dockerCaps = "CHOWN DAC_OVERRIDE FSETID FOWNER MKNOD NET_RAW SETGID SETUID SETFCAP SETPCAP NET_BIND_SERVICE SYS_CHROOT KILL AUDIT_WRITE"

// start is how docker would start a container whose record is f. The name of its top layer is in the layer store of the
// driver overlay2; of other drivers nothing is known.
func (c *dockerRecord) start(e *dockerEvidence, f *File, h *dockerHostConfig) *nsinspect.StartFacts {
	s := &nsinspect.StartFacts{ReadOnly: h.ReadonlyRootfs, Dir: path.Clean("/" + c.Config.WorkingDir), Caps: h.caps(), Ambient: []string{}, Groups: h.GroupAdd}
	data := path.Dir(path.Dir(path.Dir(f.Path)))
	if id := e.fileBy(data+"/image/overlay2/layerdb/mounts/"+c.ID+"/mount-id", f.By); id != nil {
		if name := strings.TrimSpace(string(id.Data)); name != "" && !strings.Contains(name, "/") && name[0] != '.' {
			s.Rootfs = data + "/overlay2/" + name
		}
	}
	return s
}

// caps are the capabilities that the options come to (moby: oci/caps/utils.go TweakCapabilities).
func (h *dockerHostConfig) caps() []string {
	const all = "ALL"
	named := func(list []string) (names []string) {
		for _, name := range list {
			if name = strings.TrimPrefix(strings.ToUpper(name), "CAP_"); name != all {
				name = "CAP_" + name
			}
			names = append(names, name)
		}
		return names
	}
	add, drop := named(h.CapAdd), named(h.CapDrop)
	var caps []string
	switch {
	case h.Privileged || slices.Contains(add, all) && len(drop) == 0:
		return []string{all}
	case slices.Contains(add, all):
		return append([]string{all}, prefixed("-", drop)...)
	case !slices.Contains(drop, all):
		caps = slices.DeleteFunc(named(strings.Fields(dockerCaps)), func(name string) bool { return slices.Contains(drop, name) })
	}
	caps = append(caps, add...)
	slices.Sort(caps)
	return append([]string{}, slices.Compact(caps)...)
}

func prefixed(prefix string, names []string) []string {
	out := make([]string, len(names))
	for i, name := range names {
		out[i] = prefix + name
	}
	return out
}
