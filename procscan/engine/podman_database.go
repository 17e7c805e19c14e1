package engine

import (
	"encoding/json"
	"path"
	"slices"
	"strings"

	"github.com/nsview/nsview/idmap"
	"github.com/nsview/nsview/nsinspect"
)

// podmanRecord is the value of ctr/ID/config in bolt_state.db (podman: libpod/container_config.go), as far as it is read.
type podmanRecord struct {
	ID       string            `json:"id"`
	Name     string            `json:"name"`
	Pod      string            `json:"pod"`
	Image    string            `json:"rootfsImageName"`
	Rootfs   string            `json:"rootfs"`
	Runtime  string            `json:"runtime"`
	User     string            `json:"user"`
	Labels   map[string]string `json:"labels"`
	Bundle   string            `json:"staticDir"`
	UserNSOf string            `json:"userNsCtr"` // the container whose user namespace it joins
	Maps     struct {
		UID []idmap.OCIExtent `json:"UIDMap"`
		GID []idmap.OCIExtent `json:"GIDMap"`
	} `json:"idMappingsOptions"`
	Spec struct {
		ociSpec
		Mounts []ociMount `json:"mounts"`
	} `json:"spec"`
	Groups      []string `json:"groups"`      // that were asked for
	UserVolumes []string `json:"userVolumes"` // the destinations that were asked for
	Volumes     []struct {
		Name        string   `json:"volumeName"`
		Destination string   `json:"dest"`
		Options     []string `json:"options"`
	} `json:"namedVolumes"`
	Overlays []struct {
		Destination string   `json:"dest"`
		Source      string   `json:"source"`
		Options     []string `json:"options"`
	} `json:"overlayVolumes"`
}

// podmanState is the value of ctr/ID/state (libpod/container.go).
type podmanState struct {
	State    int    `json:"state"`
	PID      int    `json:"pid"`
	ExitCode int    `json:"exitCode"`
	Config   string `json:"configPath"` // set once it was started
}

// podmanVolume is the value of vol/NAME/config (libpod/volume.go).
type podmanVolume struct {
	MountPoint string            `json:"mountPoint"`
	Options    map[string]string `json:"volumeOptions"`
}

// device is where the files of a volume are: the device that its options name, else its directory.
func (v *podmanVolume) device() string {
	if d := v.Options["device"]; path.IsAbs(d) && slices.ContainsFunc(strings.Split(v.Options["o"], ","), func(o string) bool { return o == "bind" || o == "rbind" }) {
		return path.Clean(d)
	}
	return v.MountPoint
}

// podmanStateName is what podman ps calls the states (libpod/define/containerstate.go).
func podmanStateName(state int) string {
	names := []string{"unknown", "created", "initialized", "running", "stopped", "paused", "exited", "removing", "stopping"}
	if state < 0 || state >= len(names) {
		return "unknown"
	}
	return names[state]
}

// podmanDatabase are the containers in the database of a storage, nil without a readable one.
func podmanDatabase(e *Evidence, r podmanRoot) []nsinspect.Claim {
	f := e.fileBy(r.state+"/bolt_state.db", r.owner)
	if f == nil {
		return nil
	}
	root, err := openBolt(f.Data)
	if err != nil {
		return nil
	}
	var records []podmanRecord
	states := make(map[string]podmanState)
	pods, volumes := make(map[string]nsinspect.Pod), make(map[string]podmanVolume)
	errs := []error{
		boltRecords(root, "ctr", func(id string, value func(string) []byte) {
			var record podmanRecord
			var state podmanState
			if json.Unmarshal(value("config"), &record) == nil && record.ID == id && json.Unmarshal(value("state"), &state) == nil {
				records, states[id] = append(records, record), state
			}
		}),
		boltRecords(root, "pod", func(id string, value func(string) []byte) {
			var pod nsinspect.Pod
			if json.Unmarshal(value("config"), &pod) == nil && pod.ID == id {
				pods[id] = nsinspect.Pod{ID: pod.ID, Name: pod.Name}
			}
		}),
		boltRecords(root, "vol", func(name string, value func(string) []byte) {
			var volume podmanVolume
			if json.Unmarshal(value("config"), &volume) == nil {
				volumes[name] = volume
			}
		}),
	}
	if slices.ContainsFunc(errs, func(err error) bool { return err != nil }) && len(records) == 0 {
		return nil
	}
	layers := podmanLayers(e, r)
	claims := make([]nsinspect.Claim, len(records))
	for i := range records {
		record := &records[i]
		claims[i] = record.claim(states[record.ID])
		if claims[i].InitPID == 0 {
			claims[i].Start = record.Spec.start(layers[record.ID])
			claims[i].Start.Groups = record.Groups
		}
		claims[i].Mounts = record.mounts(volumes)
		if pod, ok := pods[record.Pod]; ok {
			claims[i].Pod = &pod
		}
		if at := slices.IndexFunc(records, func(other podmanRecord) bool { return other.ID == record.UserNSOf }); at >= 0 && record.UserNSOf != "" {
			claims[i].UIDMap, claims[i].GIDMap = idmap.FromOCI(records[at].Maps.UID), idmap.FromOCI(records[at].Maps.GID)
		}
	}
	return claims
}

// boltRecords visits each bucket in the bucket of that name, with its values.
func boltRecords(root *boltBucket, name string, visit func(key string, value func(string) []byte)) error {
	all, err := root.bucket(name)
	if err != nil || all == nil {
		return err
	}
	return all.each(func(key, _ []byte, sub *boltBucket) {
		if sub == nil {
			return
		}
		visit(string(key), func(name string) []byte {
			v, _ := sub.value(name) // what is damaged is no JSON either
			return v
		})
	})
}

func (c *podmanRecord) claim(s podmanState) nsinspect.Claim {
	claim := nsinspect.Claim{ID: c.ID, Name: c.Name}
	claim.EngineFacts = nsinspect.EngineFacts{
		State: podmanStateName(s.State), Image: c.Image, Labels: c.Labels, User: c.User, Evidence: "state",
		UIDMap: idmap.FromOCI(c.Maps.UID), GIDMap: idmap.FromOCI(c.Maps.GID),
	}
	if claim.Image == "" {
		claim.Image = c.Rootfs
	}
	if c.Runtime != "" {
		claim.Runtime = path.Base(c.Runtime)
	}
	if s.Config != "" {
		claim.Bundle = c.Bundle
	}
	switch claim.State {
	case "exited", "stopped":
		claim.ExitCode = &s.ExitCode
	default:
		claim.InitPID = s.PID
	}
	return claim
}

// mounts are those that were asked for. The container has more, of podman's own.
func (c *podmanRecord) mounts(volumes map[string]podmanVolume) []nsinspect.EngineMount {
	var list []nsinspect.EngineMount
	for i := range c.Spec.Mounts {
		if m := &c.Spec.Mounts[i]; m.bound() || slices.Contains(c.UserVolumes, m.Destination) {
			list = append(list, m.engineMount())
		}
	}
	for _, v := range c.Volumes {
		m := (&ociMount{Destination: v.Destination, Options: v.Options}).engineMount()
		volume := volumes[v.Name]
		m.Type, m.Name, m.Source = "volume", v.Name, volume.device()
		list = append(list, m)
	}
	for _, o := range c.Overlays {
		m := (&ociMount{Destination: o.Destination, Options: o.Options}).engineMount()
		m.Type, m.Source = "overlay", o.Source
		list = append(list, m)
	}
	slices.SortStableFunc(list, func(a, b nsinspect.EngineMount) int { return strings.Compare(a.Destination, b.Destination) })
	return list
}
