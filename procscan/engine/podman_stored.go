package engine

import (
	"encoding/json"
	"path"
	"slices"
	"strings"

	"github.com/nsview/nsview/idmap"
	"github.com/nsview/nsview/nsinspect"
)

// storedContainer is a container in containers.json of containers/storage. CRI-O and buildah keep theirs there too.
type storedContainer struct {
	ID       string   `json:"id"`
	Names    []string `json:"names"`
	Layer    string   `json:"layer"`
	Metadata string   `json:"metadata"`
}

// podmanLayers are the directories of the top layers of the containers of a storage, by container. The driver vfs, which
// rootless podman takes where it has no overlay, keeps each layer whole.
func podmanLayers(e *Evidence, r podmanRoot) map[string]string {
	layers := make(map[string]string)
	for _, driver := range []struct{ containers, layers string }{{"/overlay-containers", "/overlay/"}, {"/vfs-containers", "/vfs/dir/"}} {
		for _, f := range e.matchingOf(r.graph+driver.containers+"/containers.json", r.owner) {
			var list []storedContainer
			if json.Unmarshal(f.Data, &list) != nil {
				continue
			}
			for _, s := range list {
				if hexID(s.Layer) {
					layers[s.ID] = r.graph + driver.layers + s.Layer
				}
			}
		}
	}
	return layers
}

// podmanStored are the containers that containers/storage tells of. The configuration of one that was started before is
// in its bundle; how one ended is in the database only.
func podmanStored(e *Evidence, r podmanRoot) []nsinspect.Claim {
	var claims []nsinspect.Claim
	layers := podmanLayers(e, r)
	for _, f := range e.matchingOf(r.graph+"/*-containers/containers.json", r.owner) {
		var list []storedContainer
		if json.Unmarshal(f.Data, &list) != nil {
			continue
		}
		for _, s := range list {
			var meta struct {
				Image string  `json:"image-name"`
				Name  string  `json:"name"`
				Pod   *string `json:"pod-name"` // CRI-O's have one
			}
			if json.Unmarshal([]byte(s.Metadata), &meta) != nil || meta.Name == "" || meta.Pod != nil || s.ID == "" {
				continue
			}
			claim := nsinspect.Claim{ID: s.ID, Name: meta.Name}
			claim.EngineFacts = nsinspect.EngineFacts{State: "created", Image: meta.Image, Evidence: "state"}
			bundle := path.Join(path.Dir(f.Path), s.ID, "userdata")
			if config := e.fileBy(bundle+"/config.json", r.owner); config != nil {
				c := parseOCIConfig(config.Data)
				if c != nil && !podmanStarted(&claim, c, r, bundle) {
					continue
				}
				if c != nil {
					claim.Start = c.start(layers[s.ID])
				}
			}
			claims = append(claims, claim)
		}
	}
	return claims
}

// podmanStarted adds what the bundle of a container says that was started, and reports whether it is podman's.
func podmanStarted(claim *nsinspect.Claim, c *ociConfig, r podmanRoot, bundle string) bool {
	if m := c.Annotations[annotationManager]; m != "" && m != "libpod" {
		return false
	}
	claim.State, claim.Bundle, claim.User = "stopped", bundle, c.user()
	claim.UIDMap, claim.GIDMap = idmap.FromOCI(c.Linux.UID), idmap.FromOCI(c.Linux.GID)
	if pod := path.Base(path.Dir(c.Linux.Cgroups)); hexID(pod) && strings.HasPrefix(path.Base(c.Linux.Cgroups), "libpod-") {
		claim.Pod = &nsinspect.Pod{ID: pod}
	}
	for i := range c.Mounts {
		m := &c.Mounts[i]
		if !m.bound() || strings.Contains(m.Source, "-containers/") && strings.Contains(m.Source, "/userdata/") {
			continue // podman's own: /etc/hosts, /dev/shm
		}
		mount := m.engineMount()
		if rest, ok := strings.CutPrefix(m.Source, r.graph+"/volumes/"); ok && path.Base(rest) == "_data" {
			mount.Type, mount.Name = "volume", path.Dir(rest)
		}
		claim.Mounts = append(claim.Mounts, mount)
	}
	slices.SortStableFunc(claim.Mounts, func(a, b nsinspect.EngineMount) int { return strings.Compare(a.Destination, b.Destination) })
	return true
}
