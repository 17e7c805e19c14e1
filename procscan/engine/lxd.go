package engine

import (
	"bytes"
	"encoding/json"
	"path"
	"slices"
	"strings"

	"github.com/nsview/nsview/idmap"
	"github.com/nsview/nsview/nsinspect"
)

// lxdDirs are where LXD and Incus keep what is theirs, unless LXD_DIR or INCUS_DIR say otherwise: then a monitor tells.
// A host may have two of LXD.
func lxdDirs() []lxdDir {
	return []lxdDir{
		{lxdName, "/var/snap/lxd/common/lxd", true},
		{lxdName, "/var/lib/lxd", false},
		{incusName, "/var/lib/incus", true},
	}
}

type lxdDir struct {
	engine, path string
	standard     bool
}

// lxdConfigs are the files that LXD and Incus write for liblxc when a container starts, LXD in its directory of logs,
// Incus in that of what does not outlive a reboot.
func (l *lxcPlace) lxdConfigs(name string) []string {
	dir := path.Dir(l.path)
	globs := []string{path.Join(dir, "logs", name, "lxc.conf"), path.Join(dir, "run", name, "lxc.conf")}
	if dir == "/var/lib/"+l.engine {
		globs = append(globs, path.Join("/var/log", l.engine, name, "lxc.conf"), path.Join("/run", l.engine, name, "lxc.conf"))
	}
	return globs
}

// lxdRecords are the files in which LXD and Incus keep with a container's files what their database has about it, so that
// it can be imported again.
func (l *lxcPlace) lxdRecords(name string) []string {
	if l.engine == lxcName {
		return nil
	}
	return []string{path.Join(path.Dir(l.path), "storage-pools/*/containers", name, "backup.yaml")}
}

// lxdDaemon is the daemon, where there is only one: of several it is unknown which one has a container.
func lxdDaemon(e *Evidence, engine string) []nsinspect.ChainLink {
	var daemon *Program
	for _, p := range e.named(lxdName, "incusd") {
		// A word after the name is a command: forkstart, callhook, ...
		if lxcEngine(p.Comm) != engine || len(p.Args) == 0 || strings.HasPrefix(p.Args[0], "[") || len(p.Args) > 1 && !strings.HasPrefix(p.Args[1], "-") {
			continue
		}
		if daemon != nil {
			return nil
		}
		daemon = p
	}
	if daemon == nil {
		return nil
	}
	return []nsinspect.ChainLink{link(daemon.PID, daemon.Comm, "daemon")}
}

// lxdFacts adds what a record says. Its mounts are those that were asked for; those of lxc.conf, which has LXD's own too,
// count only without it.
func (l *lxcPlace) lxdFacts(e *Evidence, name string, claim *nsinspect.Claim) {
	for _, glob := range l.lxdRecords(name) {
		for _, f := range e.matching(glob) {
			if f.By != l.owner {
				continue
			}
			r := parseLXDRecord(f.Data)
			claim.Image, claim.Mounts = r.image(), r.mounts(path.Dir(l.path))
			if r.name != "" {
				claim.Name = r.name // without the project's
			}
			if claim.UIDMap == nil {
				claim.UIDMap, claim.GIDMap = r.maps()
			}
		}
	}
}

// lxdRecord is backup.yaml as far as it is read.
type lxdRecord struct {
	name, project string
	config        map[string]string
	devices       map[string]map[string]string
}

// parseLXDRecord reads the lines of backup.yaml that have a key and a plain value, at
//
//	container:            # or instance:
//	  expanded_config:
//	    image.description: Debian bookworm amd64
//	  expanded_devices:
//	    data:
//	      path: /data
//	  name: web
//
// It is no reader of YAML: the file is written by one library in one style, and a value over several lines, of which
// none is needed, is further right than any key.
func parseLXDRecord(data []byte) lxdRecord {
	r := lxdRecord{config: make(map[string]string), devices: make(map[string]map[string]string)}
	var at [4]string // the keys above
	for line := range bytes.Lines(data) {
		text := strings.TrimRight(string(line), "\n")
		key := strings.TrimLeft(text, " ")
		depth := (len(text) - len(key)) / 2
		key, value, ok := strings.Cut(key, ":")
		if !ok || depth >= len(at) {
			continue
		}
		at[depth] = key
		if value = lxdScalar(value); value == "" || at[0] != "container" && at[0] != "instance" {
			continue
		}
		switch {
		case depth == 1 && key == "name":
			r.name = value
		case depth == 1 && key == "project":
			r.project = value
		case depth == 2 && at[1] == "expanded_config" && (strings.HasPrefix(key, "image.") || strings.HasPrefix(key, "volatile.")):
			r.config[key] = value
		case depth == 3 && at[1] == "expanded_devices":
			if r.devices[at[2]] == nil {
				r.devices[at[2]] = make(map[string]string)
			}
			r.devices[at[2]][key] = value
		}
	}
	return r
}

// lxdScalar is a value without its quotes.
func lxdScalar(value string) string {
	value = strings.TrimSpace(value)
	if len(value) > 1 && (value[0] == '\'' || value[0] == '"') && value[len(value)-1] == value[0] {
		return strings.ReplaceAll(value[1:len(value)-1], "''", "'")
	}
	return value
}

func (r *lxdRecord) image() string {
	if image := r.config["image.description"]; image != "" {
		return image
	}
	return r.config["volatile.base_image"]
}

// maps are those that the container has, or gets when it starts next.
func (r *lxdRecord) maps() (uid, gid idmap.Map) {
	var list []struct {
		IsUID  bool   `json:"Isuid"`
		IsGID  bool   `json:"Isgid"`
		Host   uint32 `json:"Hostid"`
		Inside uint32 `json:"Nsid"`
		Count  uint32 `json:"Maprange"`
	}
	if json.Unmarshal([]byte(r.config["volatile.idmap.next"]), &list) != nil {
		return nil, nil
	}
	for _, x := range list {
		extent := idmap.Extent{Inside: idmap.Inside(x.Inside), Outside: idmap.Kernel(x.Host), Count: x.Count}
		if x.IsUID {
			uid = append(uid, extent)
		}
		if x.IsGID {
			gid = append(gid, extent)
		}
	}
	return uid, gid
}

// mounts are the devices that are directories and files: those with a pool are volumes in it. The root file system is
// none.
func (r *lxdRecord) mounts(dir string) []nsinspect.EngineMount {
	var mounts []nsinspect.EngineMount
	for _, name := range sortedKeys(r.devices) {
		d := r.devices[name]
		if d["type"] != "disk" || d["path"] == "/" || d["path"] == "" {
			continue
		}
		m := nsinspect.EngineMount{Type: "bind", Source: d["source"], Destination: d["path"], ReadOnly: d["readonly"] == "true"}
		if pool := d["pool"]; pool != "" && plainComponent(pool) && plainComponent(m.Source) {
			m.Type, m.Name = "volume", m.Source
			m.Source = path.Join(dir, "storage-pools", pool, "custom", r.project+"_"+m.Name)
		}
		if d["shift"] == "true" {
			m.Options = []string{"shift"}
		}
		mounts = append(mounts, m)
	}
	slices.SortStableFunc(mounts, func(a, b nsinspect.EngineMount) int { return strings.Compare(a.Destination, b.Destination) })
	return mounts
}
