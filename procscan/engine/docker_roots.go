package engine

import (
	"encoding/json"
	"path"
	"slices"
	"strings"
)

// dockerRoot is where one daemon keeps its things.
type dockerRoot struct {
	data, exec string
	socket     string
	owner      uint32
	daemon     int // its PID, 0 when it does not run
}

// The defaults of dockerd(8), and where a containerd is that dockerd did not start.
const (
	dockerData       = "/var/lib/docker"
	dockerExec       = "/var/run/docker"
	dockerSocket     = "/var/run/docker.sock"
	dockerConfig     = "/etc/docker/daemon.json"
	dockerNamespace  = "moby" // of its containers in containerd
	systemContainerd = "/run/containerd/containerd.sock"
)

// dockerRoots lists the daemons: those that run, those that ran when a shim started which still does, the host's, and
// those of users.
func dockerRoots(e *Evidence) []dockerRoot {
	var roots []dockerRoot
	add := func(r dockerRoot) {
		if r.data != "" && !slices.ContainsFunc(roots, func(have dockerRoot) bool { return have.data == r.data && have.owner == r.owner }) {
			roots = append(roots, r)
		}
	}
	for _, p := range e.named("dockerd") {
		if !p.UID.Mapped() {
			continue
		}
		r := dockerDefaults(e, uint32(p.UID), p.flag("config-file"))
		r.daemon = p.PID
		for _, c := range e.named("containerd") {
			if c.PPID == p.PID {
				r.setExec(e, dockerExecOf(c))
			}
		}
		if v := p.flag("exec-root"); path.IsAbs(v) {
			r.setExec(e, path.Clean(v))
		}
		if v := p.flag("data-root", "graph", "g"); path.IsAbs(v) {
			r.data = path.Clean(v)
		}
		for _, arg := range p.Args { // -H S, -H=S, -HS, --host S, --host=S; there may be several, of which one is local
			if _, v, ok := strings.Cut(arg, "unix://"); ok && path.IsAbs(v) {
				r.socket = path.Clean(v)
				break
			}
		}
		add(r)
	}
	for _, p := range e.named("containerd-shim") {
		if exec := dockerExecOf(p); exec != "" && p.UID.Mapped() {
			r := dockerRoot{owner: uint32(p.UID)}
			r.setExec(e, exec)
			add(r)
		}
	}
	add(dockerDefaults(e, 0, ""))
	for i := range e.Users {
		add(dockerDefaults(e, e.Users[i].UID, ""))
	}
	return roots
}

// dockerExecOf is the exec root that the command line of a containerd or of a shim tells, where dockerd started that
// containerd: it is given EXEC/containerd/containerd.toml, and a shim EXEC/containerd/containerd.sock. "" otherwise.
func dockerExecOf(p *Program) string {
	file, name := p.flag("config", "c"), "/containerd/containerd.toml"
	if p.Comm == "containerd-shim" {
		file, name = p.flag("address"), "/containerd/containerd.sock"
		if p.flag("namespace") != dockerNamespace || file == systemContainerd {
			return ""
		}
	}
	exec, ok := strings.CutSuffix(file, name)
	if !ok || !path.IsAbs(exec) {
		return ""
	}
	return path.Clean(exec)
}

// setExec sets the exec root, and what the containerd.toml there says of the data root: that is DATA/containerd/daemon,
// or below DATA/UID.GID with userns-remap.
func (r *dockerRoot) setExec(e *Evidence, exec string) {
	if exec == "" {
		return
	}
	r.exec = exec
	if r.owner != 0 {
		r.socket = path.Join(path.Dir(exec), "docker.sock")
	}
	f := e.fileBy(exec+"/containerd/containerd.toml", r.owner)
	if f == nil {
		return
	}
	for line := range strings.SplitSeq(string(f.Data), "\n") {
		v, ok := strings.CutPrefix(line, `root = "`)
		if data, managed := strings.CutSuffix(v, `/containerd/daemon"`); ok && managed && path.IsAbs(data) {
			r.data = path.Clean(data)
			if remapped, err := path.Match("[0-9]*.[0-9]*", path.Base(data)); remapped && err == nil {
				r.data = path.Dir(r.data)
			}
			return
		}
	}
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
	f := e.fileBy(config, uid)
	if f == nil {
		return r
	}
	var c struct {
		Data  string   `json:"data-root"`
		Exec  string   `json:"exec-root"`
		Hosts []string `json:"hosts"`
	}
	if json.Unmarshal(f.Data, &c) != nil {
		return r
	}
	if path.IsAbs(c.Exec) {
		r.setExec(e, path.Clean(c.Exec))
	}
	if path.IsAbs(c.Data) {
		r.data = path.Clean(c.Data)
	}
	for _, host := range c.Hosts {
		if v, ok := strings.CutPrefix(host, "unix://"); ok && path.IsAbs(v) {
			r.socket = path.Clean(v)
			break
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
	roots := dockerRoots(e)
	for _, p := range e.named("containerd", "containerd-shim") {
		if exec := dockerExecOf(p); exec != "" && p.UID.Mapped() {
			toml := Pattern{Glob: exec + "/containerd/containerd.toml", Owner: uint32(p.UID)}
			for _, r := range roots {
				if r.exec == exec && r.owner == toml.Owner {
					toml.Of = r.data
				}
			}
			patterns = append(patterns, toml)
		}
	}
	for _, r := range roots {
		data, exec := quoteGlob(r.data), quoteGlob(r.exec)
		for _, glob := range []string{
			data + "/containers/*/config.v2.json",
			data + "/[0-9]*.[0-9]*/containers/*/config.v2.json",
			data + "/volumes/*/opts.json",
			data + "/[0-9]*.[0-9]*/volumes/*/opts.json",
			data + "/containers/*/hostconfig.json",
			data + "/[0-9]*.[0-9]*/containers/*/hostconfig.json",
			data + "/image/overlay2/layerdb/mounts/*/mount-id",
			data + "/[0-9]*.[0-9]*/image/overlay2/layerdb/mounts/*/mount-id",
			exec + "/runtime-*/moby/*/state.json",
		} {
			patterns = append(patterns, Pattern{Glob: glob, Owner: r.owner, Of: r.data})
		}
		if len(e.matching(data+"/[0-9]*.[0-9]*/containers/*/config.v2.json")) > 0 { // with userns-remap, see dockerMaps
			patterns = append(patterns, Pattern{Glob: subUID}, Pattern{Glob: subGID})
		}
		if e.refused(r.data) {
			for _, q := range apiRequests(e, r.socket, r.owner) {
				q.Of = r.data
				patterns = append(patterns, q)
			}
		}
	}
	return patterns
}
