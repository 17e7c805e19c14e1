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

	dir      string // its own
	layerDir string // of its top layer, "" when that is not known
}

// podmanStorage are the containers that a storage tells of. The driver vfs, which rootless podman takes where it has no
// overlay, keeps each layer whole.
func podmanStorage(e *Evidence, r podmanRoot) []storedContainer {
	var all []storedContainer
	layers := map[string]string{"overlay-containers": "/overlay/", "vfs-containers": "/vfs/dir/"}
	for _, f := range e.matchingOf(r.graph+"/*-containers/containers.json", r.owner) {
		var list []storedContainer
		if json.Unmarshal(f.Data, &list) != nil {
			continue
		}
		dir := path.Dir(f.Path)
		for _, s := range list {
			s.dir = path.Join(dir, s.ID)
			if below, ok := layers[path.Base(dir)]; ok && hexID(s.Layer) {
				s.layerDir = r.graph + below + s.Layer
			}
			all = append(all, s)
		}
	}
	return all
}

// podmanLayers are the directories of the top layers of the containers of a storage, by container.
func podmanLayers(e *Evidence, r podmanRoot) map[string]string {
	layers := make(map[string]string)
	for _, s := range podmanStorage(e, r) {
		if s.layerDir != "" {
			layers[s.ID] = s.layerDir
		}
	}
	return layers
}

// podmanStored are the containers that containers/storage tells of. The configuration of one that was started before is
// in its bundle; how one ended is in the database only.
func podmanStored(e *Evidence, r podmanRoot) []nsinspect.Claim {
	var claims []nsinspect.Claim
	for _, s := range podmanStorage(e, r) {
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
		bundle := path.Join(s.dir, "userdata")
		if config := e.fileBy(bundle+"/config.json", r.owner); config != nil {
			if c := parseOCIConfig(config.Data); c != nil {
				if !podmanStarted(&claim, c, r, bundle) {
					continue
				}
				claim.Start = c.start(s.layerDir)
			}
		}
		claims = append(claims, claim)
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
