package engine

import (
	"encoding/json"
	"path"
	"slices"
	"strings"

	"github.com/nsview/nsview/idmap"
	"github.com/nsview/nsview/nsinspect"
)

// bundleSpec is config.json of a bundle, as far as it is read (OCI runtime specification, config.md). It holds the
// container's environment too, which is not decoded.
type bundleSpec struct {
	Process struct {
		User struct {
			UID uint32 `json:"uid"`
			GID uint32 `json:"gid"`
		} `json:"user"`
	} `json:"process"`
	Mounts []struct {
		Destination string   `json:"destination"`
		Type        string   `json:"type"`
		Source      string   `json:"source"`
		Options     []string `json:"options"`
	} `json:"mounts"`
	Annotations map[string]string `json:"annotations"`
	Linux       struct {
		UID []bundleMapping `json:"uidMappings"`
		GID []bundleMapping `json:"gidMappings"`
	} `json:"linux"`
}

// bundleMapping is an extent as the specification writes it. The outside id is one of the runtime's own user namespace.
type bundleMapping struct {
	Inside  uint32 `json:"containerID"`
	Outside uint32 `json:"hostID"`
	Count   uint32 `json:"size"`
}

// readBundle is nil for what is no config.json.
func readBundle(data []byte) *bundleSpec {
	var s bundleSpec
	if json.Unmarshal(data, &s) != nil {
		return nil
	}
	return &s
}

// addTo adds what the specification says of a container to its claim. Of the mounts these are the bind mounts: the
// others are file systems of the container's own.
func (s *bundleSpec) addTo(c *nsinspect.Claim) {
	c.User = itoa(s.Process.User.UID) + ":" + itoa(s.Process.User.GID)
	c.UIDMap, c.GIDMap = bundleMap(s.Linux.UID), bundleMap(s.Linux.GID)
	for _, m := range s.Mounts {
		if m.Type != "bind" && !slices.Contains(m.Options, "bind") && !slices.Contains(m.Options, "rbind") {
			continue
		}
		mount := nsinspect.EngineMount{
			Type: "bind", Name: volumeName(m.Source), Source: m.Source, Destination: m.Destination,
			Options: m.Options, ReadOnly: slices.Contains(m.Options, "ro"),
		}
		if mount.Name != "" {
			mount.Type = "volume"
		}
		c.Mounts = append(c.Mounts, mount)
	}
}

func bundleMap(list []bundleMapping) idmap.Map {
	var m idmap.Map
	for _, x := range list {
		m = append(m, idmap.Extent{Inside: idmap.Inside(x.Inside), Outside: idmap.Kernel(x.Outside), Count: x.Count})
	}
	return m
}

// volumeName is the name of the volume that a path is the directory of, "" for any other path. The kubelet keeps volumes
// in .../pods/POD-UID/volumes/PLUGIN/NAME (of CSI in NAME/mount) and their subpaths in
// .../pods/POD-UID/volume-subpaths/NAME/CONTAINER/INDEX, nerdctl in .../volumes/NAMESPACE/NAME/_data.
func volumeName(source string) string {
	part := strings.Split(strings.TrimPrefix(path.Clean(source), "/"), "/")
	for i, name := range part {
		rest := part[i+1:]
		pod := i > 1 && part[i-2] == "pods"
		switch {
		case pod && name == "volumes" && (len(rest) == 2 || len(rest) == 3 && rest[2] == "mount"):
			return rest[1]
		case pod && name == "volume-subpaths" && len(rest) == 3:
			return rest[0]
		case name == "volumes" && len(rest) == 3 && rest[2] == "_data":
			return rest[1]
		}
	}
	return ""
}
