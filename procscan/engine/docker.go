package engine

import (
	"bytes"
	"cmp"
	"encoding/json"
	"path"
	"slices"
	"strings"

	"github.com/nsview/nsview/idmap"
	"github.com/nsview/nsview/nsinspect"
)

// docker reads DATA/containers/ID/config.v2.json, the only place with name and labels, of every daemon that runs or has
// a data root where one is by default; the start time of the process is in the state of runc below the exec root. With
// userns-remap DATA is DATA/UID.GID. Environments, which config.v2.json holds too, are not decoded.
func docker() Engine {
	return Engine{
		Name: "docker", Programs: []string{"dockerd", "containerd", "containerd-shim"}, Holds: []string{"containerd-shim"},
		Files: dockerFiles, Identify: dockerIdentify,
	}
}

// dockerRecord is config.v2.json, as far as it is read (moby: container/container.go).
type dockerRecord struct {
	ID    string
	Name  string // with a slash before it
	State struct {
		Running, Paused, Restarting, Dead bool
		Pid                               int
		ExitCode                          int
		StartedAt                         string
	}
	Config struct {
		Image      string
		User       string
		WorkingDir string
		Labels     map[string]string
	}
	MountPoints map[string]struct {
		Type, Name, Source, Destination, Driver, Propagation string
		RW                                                   bool
	}
}

// dockerEvidence is the evidence with what is looked up for each of many containers.
type dockerEvidence struct {
	*Evidence
	shims map[shimKey]*Program
}

// shimKey is a container id, and whose shim says it: any user may call a program of his a shim.
type shimKey struct {
	id  string
	uid idmap.Kernel
}

func dockerIdentify(all *Evidence) []Found {
	e := &dockerEvidence{all, make(map[shimKey]*Program)}
	var shims []shimKey
	for _, shim := range all.named("containerd-shim") {
		key := shimKey{shim.flag("id"), shim.UID}
		if key.id != "" && shim.flag("namespace") == dockerNamespace && e.shims[key] == nil {
			e.shims[key] = shim
			shims = append(shims, key)
		}
	}
	var found []Found
	for _, r := range dockerRoots(all) {
		states := make(map[string]*File) // of runc, by container id
		for _, f := range e.matching(quoteGlob(r.exec) + "/runtime-*/moby/*/state.json") {
			if f.By == r.owner {
				states[path.Base(path.Dir(f.Path))] = f
			}
		}
		for _, remapped := range []string{"", "/[0-9]*.[0-9]*"} {
			for _, f := range e.matching(quoteGlob(r.data) + remapped + "/containers/*/config.v2.json") {
				var c dockerRecord
				if f.By == r.owner && json.Unmarshal(f.Data, &c) == nil && hexID(c.ID) && c.ID == path.Base(path.Dir(f.Path)) {
					found = append(found, c.found(e, r, f, states[c.ID]))
				}
			}
		}
		for _, f := range apiAnswers(all, r.socket, r.owner) {
			f.Chain = dockerChain(e, r, f.ID)
			found = append(found, f)
		}
	}
	for _, key := range shims { // what the process tree tells where nothing else does
		if f := e.shimmed(e.shims[key], key.id); f != nil {
			f.Chain = dockerChain(e, dockerRoot{owner: f.By}, key.id)
			found = append(found, *f)
		}
	}
	return found
}

// found is the container of a record, f, and of its state of runc, nil without one.
func (c *dockerRecord) found(e *dockerEvidence, r dockerRoot, f, state *File) Found {
	claim := nsinspect.Claim{ID: c.ID, Name: strings.TrimPrefix(c.Name, "/")}
	claim.EngineFacts = nsinspect.EngineFacts{
		State: c.state(), Image: c.Config.Image, User: c.Config.User, Labels: c.Config.Labels, Evidence: "state",
	}
	switch {
	case c.State.Running && c.State.Pid > 0:
		claim.InitPID = c.State.Pid
	case claim.State != "created":
		claim.ExitCode = &c.State.ExitCode // also of one that is about to be started again
	}
	data := path.Dir(path.Dir(path.Dir(f.Path)))
	for _, destination := range sortedKeys(c.MountPoints) {
		m := c.MountPoints[destination]
		mount := nsinspect.EngineMount{Type: m.Type, Name: m.Name, Source: m.Source, Destination: m.Destination, ReadOnly: !m.RW}
		if m.Propagation != "" {
			mount.Options = []string{m.Propagation}
		}
		if m.Type == "volume" {
			mount.Source = dockerDevice(e.fileBy(data+"/volumes/"+m.Name+"/opts.json", f.By), m.Source)
		}
		claim.Mounts = append(claim.Mounts, mount)
	}
	if state != nil {
		ociState(&claim, state.Data)
		claim.Runtime = strings.TrimPrefix(path.Base(path.Dir(path.Dir(path.Dir(state.Path)))), "runtime-")
	}
	host := dockerHostConfigOf(e, f)
	if host != nil {
		for _, destination := range sortedKeys(host.Tmpfs) {
			claim.Mounts = append(claim.Mounts, nsinspect.EngineMount{Type: "tmpfs", Destination: destination})
		}
		if claim.InitPID == 0 {
			claim.Start = c.start(e, f, host)
		}
	}
	claim.UIDMap, claim.GIDMap = dockerMaps(e, r, f, host, &claim)
	claim.Chain = dockerChain(e, r, c.ID)
	return Found{Claim: claim, By: f.By}
}

// dockerMaps are the maps that a daemon gives a container. The state of runc, which is there while it runs, has them. For
// one that is not running the daemon's data root tells: with userns-remap it is DATA/UID.GID, the first ids of the ranges
// that /etc/subuid and /etc/subgid grant, unless the container was made with --userns=host.
func dockerMaps(e *dockerEvidence, r dockerRoot, f *File, host *dockerHostConfig, c *nsinspect.Claim) (uid, gid idmap.Map) {
	own := e.mapsOf(r.owner, e.program(r.daemon))
	dir := path.Dir(f.Path)
	first := strings.Split(path.Base(path.Dir(path.Dir(dir))), ".")
	remapped := path.Dir(path.Dir(dir)) != r.data && len(first) == 2
	if c.InitPID != 0 || !remapped || host != nil && host.UsernsMode == "host" {
		return composed(own, c.UIDMap, c.GIDMap)
	}
	uid, gid = grantFrom(e.fileBy(subUID, 0), first[0]), grantFrom(e.fileBy(subGID, 0), first[1])
	if uid == nil || gid == nil {
		return nil, nil
	}
	return composed(own, uid, gid)
}

// Where subordinate ids are granted (subuid(5)).
const (
	subUID = "/etc/subuid"
	subGID = "/etc/subgid"
)

// grantFrom is the map of a whole grant that begins with an id, nil when there is none.
func grantFrom(f *File, first string) idmap.Map {
	if f == nil {
		return nil
	}
	ids, _ := idmap.ParseSubIDs(bytes.NewReader(f.Data)) // lines that cannot be read grant nothing
	for _, g := range ids {
		if g.First.String() == first {
			return idmap.Map{{Inside: 0, Outside: g.First, Count: g.Count}}
		}
	}
	return nil
}

// state is what docker ps calls it.
func (c *dockerRecord) state() string {
	switch s := &c.State; {
	case s.Paused:
		return "paused"
	case s.Restarting:
		return "restarting"
	case s.Running:
		return "running"
	case s.Dead:
		return "dead"
	case s.StartedAt == "" || strings.HasPrefix(s.StartedAt, "0001-"):
		return "created"
	}
	return "exited"
}

// dockerDevice is where the files of a volume are: the device that its options name (driver_opts: o: bind), else its
// directory.
func dockerDevice(f *File, source string) string {
	if f == nil {
		return source
	}
	var opts struct{ MountOpts, MountDevice string }
	if json.Unmarshal(f.Data, &opts) != nil {
		return source
	}
	return cmp.Or(boundDevice(opts.MountOpts, opts.MountDevice), source)
}

// boundDevice is the directory that a volume with these mount options binds, "" when it binds none.
func boundDevice(options, device string) string {
	bind := slices.ContainsFunc(strings.Split(options, ","), func(o string) bool { return o == "bind" || o == "rbind" })
	if !bind || !path.IsAbs(device) {
		return ""
	}
	return path.Clean(device)
}

// dockerChain are the daemon whose container it is, its containerd, and the shim. What ended since is left out.
func dockerChain(e *dockerEvidence, r dockerRoot, id string) []nsinspect.ChainLink {
	shim := e.shims[shimKey{id, idmap.Kernel(r.owner)}] // its first process may have another parent
	containerd, daemon := dockerContainerd(e, r, shim), e.program(r.daemon)
	if up := containerd; daemon == nil && up != nil {
		if p := e.program(up.PPID); p != nil && p.Comm == "dockerd" {
			daemon = p
		}
	}
	var chain []nsinspect.ChainLink
	if daemon != nil {
		for _, up := range e.ancestors(e.Snapshot.Process(daemon.PID)) {
			if up.Comm == "rootlesskit" {
				chain = append([]nsinspect.ChainLink{link(up.PID, up.Comm, "rootless")}, chain...)
			}
		}
		chain = append(chain, link(daemon.PID, daemon.Comm, "daemon"))
	}
	if containerd != nil {
		chain = append(chain, link(containerd.PID, containerd.Comm, "containerd"))
	}
	if shim != nil {
		chain = append(chain, link(shim.PID, shim.Comm, "shim"))
	}
	return chain
}

// dockerContainerd is the containerd of a daemon: the one that the shim calls, or without a shim that the daemon started.
func dockerContainerd(e *dockerEvidence, r dockerRoot, shim *Program) *Program {
	for _, p := range e.named("containerd") {
		switch exec := dockerExecOf(p); {
		case shim != nil && exec == dockerExecOf(shim) && p.UID == shim.UID && (exec != "" || shim.flag("address") == containerdAddress(p)):
			return p
		case shim == nil && r.daemon != 0 && p.PPID == r.daemon:
			return p
		}
	}
	return nil
}

// containerdAddress is where a containerd listens that dockerd did not start, as far as its command line says so.
func containerdAddress(p *Program) string {
	if v := p.flag("address", "a"); v != "" {
		return v
	}
	return systemContainerd
}

// shimmed is the container of a shim: its first child. Later children were executed in it.
func (e *Evidence) shimmed(shim *Program, id string) *Found {
	if id == "" || !shim.UID.Mapped() {
		return nil
	}
	var init *nsinspect.Process
	for _, p := range e.children(shim.PID) {
		if precedes(p, init) {
			init = p
		}
	}
	if init == nil {
		return nil
	}
	return &Found{By: uint32(shim.UID), Claim: nsinspect.Claim{
		ID: id, InitPID: init.PID, StartTime: init.StartTime,
		EngineFacts: nsinspect.EngineFacts{State: "running", Evidence: "process", Chain: []nsinspect.ChainLink{link(shim.PID, shim.Comm, "shim")}},
	}}
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// ociState adds what the state of runc says, state.json of libcontainer: the process with its start time, and the maps,
// whose outside ids are those of the runtime's own user namespace.
func ociState(c *nsinspect.Claim, data []byte) {
	var s struct {
		PID    int    `json:"init_process_pid"`
		Start  uint64 `json:"init_process_start"`
		Config struct {
			UID    []ociMapping `json:"uid_mappings"`
			GID    []ociMapping `json:"gid_mappings"`
			Labels []string     `json:"labels"` // bundle=PATH
		} `json:"config"`
	}
	if json.Unmarshal(data, &s) != nil {
		return
	}
	if s.PID != 0 && (c.InitPID == 0 || c.InitPID == s.PID) {
		c.StartTime = s.Start
	}
	c.UIDMap, c.GIDMap = ociMap(s.Config.UID), ociMap(s.Config.GID)
	for _, label := range s.Config.Labels {
		if bundle, ok := strings.CutPrefix(label, "bundle="); ok {
			c.Bundle = bundle
		}
	}
}

// ociMapping is an extent as libcontainer writes it.
type ociMapping struct {
	Inside  uint32 `json:"container_id"`
	Outside uint32 `json:"host_id"`
	Count   uint32 `json:"size"`
}

func ociMap(list []ociMapping) idmap.Map {
	var m idmap.Map
	for _, x := range list {
		m = append(m, idmap.Extent{Inside: idmap.Inside(x.Inside), Outside: idmap.Kernel(x.Outside), Count: x.Count})
	}
	return m
}
