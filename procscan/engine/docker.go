package engine

import (
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
	return Engine{Name: "docker", Programs: []string{"dockerd", "containerd", "containerd-shim"}, Files: dockerFiles, Identify: dockerIdentify}
}

// dockerRoot is where one daemon keeps its things.
type dockerRoot struct {
	data, exec string
	socket     string
	owner      uint32
	daemon     int // its PID, 0 when it does not run
}

// The defaults of dockerd(8).
const (
	dockerData   = "/var/lib/docker"
	dockerExec   = "/var/run/docker"
	dockerSocket = "/var/run/docker.sock"
	dockerConfig = "/etc/docker/daemon.json"
)

// dockerRoots lists the daemons: those that run, the host's, and those of users.
func dockerRoots(e *Evidence) []dockerRoot {
	var roots []dockerRoot
	add := func(r dockerRoot) {
		if !slices.ContainsFunc(roots, func(have dockerRoot) bool { return have.data == r.data }) {
			roots = append(roots, r)
		}
	}
	for _, p := range e.named("dockerd") {
		if !p.UID.Mapped() {
			continue
		}
		r := dockerDefaults(e, uint32(p.UID), p.flag("config-file"))
		r.daemon = p.PID
		if v := p.flag("data-root", "graph", "g"); path.IsAbs(v) {
			r.data = path.Clean(v)
		}
		if v := p.flag("exec-root"); path.IsAbs(v) {
			r.exec = path.Clean(v)
		}
		if v, ok := strings.CutPrefix(p.flag("host", "H"), "unix://"); ok {
			r.socket = v
		}
		add(r)
	}
	add(dockerDefaults(e, 0, ""))
	for i := range e.Users {
		add(dockerDefaults(e, e.Users[i].UID, ""))
	}
	return roots
}

// dockerDefaults are the places of a user's daemon that has no flags, by its daemon.json and else by default.
func dockerDefaults(e *Evidence, uid uint32, config string) dockerRoot {
	r := dockerRoot{data: dockerData, exec: dockerExec, socket: dockerSocket, owner: uid}
	if config == "" {
		config = dockerConfigOf(e, uid)
	}
	if uid != 0 {
		r = dockerRoot{exec: clientRuntimeDir(uid) + "/docker", socket: clientRuntimeDir(uid) + "/docker.sock", owner: uid}
		if u := e.user(uid); u != nil && u.Home != "" {
			r.data = path.Join(u.Home, ".local/share/docker")
		}
	}
	f := e.file(config)
	if f == nil {
		return r
	}
	var c struct {
		Data string `json:"data-root"`
		Exec string `json:"exec-root"`
	}
	if json.Unmarshal(f.Data, &c) == nil {
		if path.IsAbs(c.Data) {
			r.data = path.Clean(c.Data)
		}
		if path.IsAbs(c.Exec) {
			r.exec = path.Clean(c.Exec)
		}
	}
	return r
}

func dockerConfigOf(e *Evidence, uid uint32) string {
	if uid == 0 {
		return dockerConfig
	}
	if u := e.user(uid); u != nil && u.Home != "" {
		return path.Join(u.Home, ".config/docker/daemon.json")
	}
	return ""
}

func dockerFiles(e *Evidence) []Pattern {
	var patterns []Pattern
	for _, p := range e.named("dockerd") {
		if config := p.flag("config-file"); path.IsAbs(config) && p.UID.Mapped() {
			patterns = append(patterns, Pattern{Glob: config, Owner: uint32(p.UID)})
		}
	}
	patterns = append(patterns, Pattern{Glob: dockerConfig})
	for i := range e.Users {
		if config := dockerConfigOf(e, e.Users[i].UID); config != "" {
			patterns = append(patterns, Pattern{Glob: config, Owner: e.Users[i].UID})
		}
	}
	for _, r := range dockerRoots(e) {
		if r.data == "" {
			continue
		}
		for _, glob := range []string{
			r.data + "/containers/*/config.v2.json",
			r.data + "/[0-9]*.[0-9]*/containers/*/config.v2.json",
			r.data + "/volumes/*/opts.json",
			r.data + "/[0-9]*.[0-9]*/volumes/*/opts.json",
			r.exec + "/runtime-*/moby/*/state.json",
		} {
			patterns = append(patterns, Pattern{Glob: glob, Owner: r.owner})
		}
		if e.refused(r.data) {
			patterns = append(patterns, apiRequests(e, r.socket, r.owner)...)
		}
	}
	return patterns
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
		Image  string
		User   string
		Labels map[string]string
	}
	MountPoints map[string]struct {
		Type, Name, Source, Destination, Driver, Propagation string
		RW                                                   bool
	}
}

func dockerIdentify(e *Evidence) []Found {
	var found []Found
	for _, r := range dockerRoots(e) {
		if r.data == "" {
			continue
		}
		for _, remapped := range []string{"", "/[0-9]*.[0-9]*"} {
			for _, f := range e.matching(r.data + remapped + "/containers/*/config.v2.json") {
				var c dockerRecord
				if json.Unmarshal(f.Data, &c) == nil && c.ID != "" && c.ID == path.Base(path.Dir(f.Path)) {
					found = append(found, c.found(e, r, f))
				}
			}
		}
		answers := apiAnswers(e, r.socket, r.owner)
		for i := range answers {
			answers[i].Chain = dockerChain(e, r, &answers[i].Claim)
		}
		found = append(found, answers...)
	}
	return append(found, dockerShims(e)...)
}

func (c *dockerRecord) found(e *Evidence, r dockerRoot, f *File) Found {
	claim := nsinspect.Claim{ID: c.ID, Name: strings.TrimPrefix(c.Name, "/")}
	claim.EngineFacts = nsinspect.EngineFacts{
		State: c.state(), Image: c.Config.Image, User: c.Config.User, Labels: c.Config.Labels, Evidence: "state",
	}
	if c.State.Running {
		claim.InitPID = c.State.Pid
	} else if claim.State != "created" {
		claim.ExitCode = &c.State.ExitCode
	}
	data := path.Dir(path.Dir(path.Dir(f.Path)))
	for _, destination := range sortedKeys(c.MountPoints) {
		m := c.MountPoints[destination]
		mount := nsinspect.EngineMount{Type: m.Type, Name: m.Name, Source: m.Source, Destination: m.Destination, ReadOnly: !m.RW}
		if m.Propagation != "" {
			mount.Options = []string{m.Propagation}
		}
		if m.Type == "volume" {
			mount.Source = dockerDevice(e, data, m.Name, m.Source)
		}
		claim.Mounts = append(claim.Mounts, mount)
	}
	for _, s := range e.matching(r.exec + "/runtime-*/moby/" + c.ID + "/state.json") {
		if s.By == f.By {
			ociState(&claim, s.Data)
			claim.Runtime = strings.TrimPrefix(path.Base(path.Dir(path.Dir(path.Dir(s.Path)))), "runtime-")
		}
	}
	claim.Chain = dockerChain(e, r, &claim)
	return Found{Claim: claim, By: f.By}
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
func dockerDevice(e *Evidence, data, volume, source string) string {
	f := e.file(data + "/volumes/" + volume + "/opts.json")
	if f == nil {
		return source
	}
	var opts struct{ MountType, MountOpts, MountDevice string }
	if json.Unmarshal(f.Data, &opts) != nil || !path.IsAbs(opts.MountDevice) || !strings.Contains(opts.MountOpts, "bind") {
		return source
	}
	return path.Clean(opts.MountDevice)
}

// dockerChain are the daemon whose container it is, its containerd, and the shim.
func dockerChain(e *Evidence, r dockerRoot, c *nsinspect.Claim) []nsinspect.ChainLink {
	var chain []nsinspect.ChainLink
	containerd := 0
	for _, p := range e.named("containerd") {
		if p.PPID == r.daemon || containerd == 0 && e.program(p.PPID) == nil {
			containerd = p.PID
		}
	}
	if p := e.program(r.daemon); p != nil {
		for _, up := range e.ancestors(&nsinspect.Process{PPID: p.PPID}) {
			if up.Comm == "rootlesskit" {
				chain = append([]nsinspect.ChainLink{link(up.PID, up.Comm, "rootless")}, chain...)
			}
		}
		chain = append(chain, link(p.PID, p.Comm, "daemon"))
	}
	if p := e.program(containerd); p != nil {
		chain = append(chain, link(p.PID, p.Comm, "containerd"))
	}
	if init := e.Snapshot.Process(c.InitPID); init != nil {
		if shim := e.program(init.PPID); shim != nil && shim.Comm == "containerd-shim" {
			chain = append(chain, link(shim.PID, shim.Comm, "shim"))
		}
	}
	return chain
}

// dockerShims is what the process tree tells where nothing else does: the namespace of docker's containers in containerd
// is moby.
func dockerShims(e *Evidence) []Found {
	var found []Found
	for _, shim := range e.named("containerd-shim") {
		if shim.flag("namespace") != "moby" {
			continue
		}
		if f := e.shimmed(shim, shim.flag("id")); f != nil {
			found = append(found, *f)
		}
	}
	return found
}

// shimmed is the container of a shim: its first child. Later children were executed in it.
func (e *Evidence) shimmed(shim *Program, id string) *Found {
	if id == "" || !shim.UID.Mapped() {
		return nil
	}
	children := e.children(shim.PID)
	if len(children) == 0 {
		return nil
	}
	init := e.init(func(p *nsinspect.Process) bool { return slices.Contains(children, p) })
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
