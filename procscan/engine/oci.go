package engine

import (
	"encoding/json"
	"path"
	"slices"
	"strconv"

	"github.com/nsview/nsview/idmap"
	"github.com/nsview/nsview/nsinspect"
)

// stateDir is where a runtime keeps the states of one user's containers.
type stateDir struct {
	path  string
	owner uint32
}

// stateDirs lists the directories of a runtime: those that its programs were given with --root, /run/NAME, and NAME below
// each user's XDG_RUNTIME_DIR. What sets that variable is not known of others than the observer; podman's monitors tell.
func (e *Evidence) stateDirs(runtime string) []stateDir {
	dirs := []stateDir{{path.Join("/run", runtime), 0}}
	add := func(dir string, owner uint32) {
		if d := (stateDir{path.Clean(dir), owner}); path.IsAbs(dir) && !slices.Contains(dirs, d) {
			dirs = append(dirs, d)
		}
	}
	for _, p := range e.named(runtime) {
		if root := p.flag("root"); root != "" && p.UID.Mapped() {
			add(root, uint32(p.UID))
		}
	}
	for i := range e.Users {
		uid := e.Users[i].UID
		add(clientRuntimeDir(uid)+"/"+runtime, uid)
		add("/tmp/podman-run-"+itoa(uid)+"/"+runtime, uid)
	}
	if e.RuntimeDir != "" {
		add(path.Join(e.RuntimeDir, runtime), e.self())
	}
	for _, p := range e.named("conmon") {
		if root := podmanFlag(p, "runroot"); path.Base(root) == "containers" && p.UID.Mapped() {
			add(path.Join(path.Dir(root), runtime), uint32(p.UID))
		}
	}
	return dirs
}

// matchingOf is matching for files that are the word of one user.
func (e *Evidence) matchingOf(glob string, owner uint32) []*File {
	return slices.DeleteFunc(e.matching(glob), func(f *File) bool { return f.By != owner })
}

// alive is the process with that PID, nil when it is another that started at another time, or is a zombie: runtimes call
// its container stopped.
func (e *Evidence) alive(pid int, start uint64) *nsinspect.Process {
	if p := e.Snapshot.Process(pid); p != nil && start != 0 && p.StartTime == start && p.State != "Z" && p.State != "X" {
		return p
	}
	return nil
}

// annotationManager is who had a runtime make a container: libpod (podman) and cri-o say so. Their own records tell more.
const annotationManager = "io.container.manager"

// ociSpec is what a runtime specification says of how its process is started.
type ociSpec struct {
	Process struct {
		User struct {
			UID uint32 `json:"uid"`
			GID uint32 `json:"gid"`
		} `json:"user"`
		Dir          string `json:"cwd"`
		Capabilities struct {
			Bounding []string `json:"bounding"`
			Ambient  []string `json:"ambient"`
		} `json:"capabilities"`
	} `json:"process"`
	Root struct {
		ReadOnly bool `json:"readonly"`
	} `json:"root"`
}

func (s *ociSpec) start(rootfs string) *nsinspect.StartFacts {
	caps := &s.Process.Capabilities
	return &nsinspect.StartFacts{
		Rootfs: rootfs, ReadOnly: s.Root.ReadOnly, Dir: s.Process.Dir, Caps: append([]string{}, caps.Bounding...), Ambient: append([]string{}, caps.Ambient...),
	}
}

// ociConfig is config.json of a bundle (OCI runtime specification, config.md), as far as it is read. The environment in
// it is not decoded.
type ociConfig struct {
	ociSpec
	Mounts      []ociMount        `json:"mounts"`
	Annotations map[string]string `json:"annotations"`
	Linux       struct {
		UID     []idmap.OCIExtent `json:"uidMappings"`
		GID     []idmap.OCIExtent `json:"gidMappings"`
		Cgroups string            `json:"cgroupsPath"`
	} `json:"linux"`
}

type ociMount struct {
	Destination string   `json:"destination"`
	Type        string   `json:"type"`
	Source      string   `json:"source"`
	Options     []string `json:"options"`
}

// parseOCIConfig is nil for what is no configuration.
func parseOCIConfig(data []byte) *ociConfig {
	var c ociConfig
	if json.Unmarshal(data, &c) != nil {
		return nil
	}
	return &c
}

// user is whom the container was configured to run as.
func (c *ociConfig) user() string {
	u := c.Process.User
	return strconv.FormatUint(uint64(u.UID), 10) + ":" + strconv.FormatUint(uint64(u.GID), 10)
}

// bound reports whether a mount brings in files of the host.
func (m *ociMount) bound() bool {
	return path.IsAbs(m.Source) &&
		(m.Type == "bind" || m.Type == "none" || m.Type == "" || slices.Contains(m.Options, "bind") || slices.Contains(m.Options, "rbind"))
}

// engineMount is m as a mount that was asked for. Of the options it has what says more than that it is a bind mount.
func (m *ociMount) engineMount() nsinspect.EngineMount {
	mount := nsinspect.EngineMount{Type: m.Type, Source: m.Source, Destination: m.Destination}
	if m.bound() {
		mount.Type = "bind"
	}
	for _, o := range m.Options {
		switch o {
		case "ro":
			mount.ReadOnly = true
		case "rw", "bind", "rbind":
		default:
			mount.Options = append(mount.Options, o)
		}
	}
	return mount
}

// configured adds what the configuration of a container of a runtime alone says.
func (c *ociConfig) configured(claim *nsinspect.Claim) {
	claim.User = c.user()
	for i := range c.Mounts {
		if c.Mounts[i].bound() {
			claim.Mounts = append(claim.Mounts, c.Mounts[i].engineMount())
		}
	}
	if claim.UIDMap == nil && claim.GIDMap == nil {
		claim.UIDMap, claim.GIDMap = idmap.FromOCI(c.Linux.UID), idmap.FromOCI(c.Linux.GID)
	}
	if claim.Labels == nil && len(c.Annotations) > 0 {
		claim.Labels = c.Annotations
	}
}

// outside are configured maps with the observer's ids on the outside. Those in a runtime's files have the ids of the user
// namespace that the runtime ran in. Of root that is taken to be the observer's; of others it is where the process has
// these very maps. Else they are unknown, which is nil.
func (e *Evidence) outside(uid, gid idmap.Map, owner uint32, p *nsinspect.Process) (u, g idmap.Map) {
	if owner == 0 {
		return uid, gid
	}
	if p == nil {
		return nil, nil
	}
	if maps := e.Snapshot.Maps(p.IDMaps); maps != nil && maps.UID.Equal(uid) && maps.GID.Equal(gid) {
		return uid, gid
	}
	return nil, nil
}
