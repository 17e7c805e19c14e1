package engine

import (
	"bytes"
	"cmp"
	"path"
	"slices"
	"strings"
)

// podmanRoot is where one user's podman keeps containers.
type podmanRoot struct {
	graph  string // storage: DRIVER-containers, volumes
	state  string // directory of bolt_state.db
	owner  uint32
	socket string // of its API service
}

// The defaults of containers-storage.conf(5), containers.conf(5) and podman-system-service(1).
const (
	podmanGraph  = "/var/lib/containers/storage"
	podmanSocket = "/run/podman/podman.sock"
)

// podmanRoots lists the storages: those of monitors and commands that run, the host's, and those of users. Root's come
// first: what users say of the same container is not taken.
func podmanRoots(e *Evidence) []podmanRoot {
	var roots []podmanRoot
	add := func(r podmanRoot) {
		same := func(have podmanRoot) bool { return have.graph == r.graph && have.owner == r.owner }
		if at := slices.IndexFunc(roots, same); at < 0 && r.graph != "" {
			roots = append(roots, r)
		}
	}
	for _, p := range e.named("podman", "conmon") {
		if !p.UID.Mapped() {
			continue
		}
		r := podmanDefaults(e, uint32(p.UID))
		if graph := cmp.Or(podmanFlag(p, "root"), podmanBundleRoot(p)); path.IsAbs(graph) {
			r.graph = path.Clean(graph)
			r.state = r.graph + "/libpod"
		}
		for _, arg := range p.Args {
			if socket, ok := strings.CutPrefix(arg, "unix://"); ok && p.Comm == "podman" {
				r.socket = path.Clean(socket)
			}
		}
		add(r)
	}
	add(podmanDefaults(e, 0))
	for i := range e.Users {
		add(podmanDefaults(e, e.Users[i].UID))
	}
	slices.SortStableFunc(roots, func(a, b podmanRoot) int { return cmp.Compare(min(a.owner, 1), min(b.owner, 1)) })
	return roots
}

// podmanFlag is a global flag of podman: its own argument, or of the command that a monitor runs when its container ends
// (--exit-command podman --exit-command-arg --root --exit-command-arg DIR ...).
func podmanFlag(p *Program, name string) string {
	if p.Comm == "podman" {
		return p.flag(name)
	}
	args := podmanExitCommand(p)
	for i, arg := range args {
		if arg == "--"+name && i+1 < len(args) {
			return args[i+1]
		}
	}
	return ""
}

// podmanExitCommand is what a monitor of podman runs when its container ends. Other engines' monitors have none.
func podmanExitCommand(p *Program) []string {
	if !strings.HasPrefix(path.Base(p.flag("exit-command")), "podman") {
		return nil
	}
	var args []string
	for i, arg := range p.Args {
		if arg == "--exit-command-arg" && i+1 < len(p.Args) {
			args = append(args, p.Args[i+1])
		}
	}
	return args
}

// podmanBundleRoot is the storage that a monitor's bundle is in: ROOT/DRIVER-containers/ID/userdata.
func podmanBundleRoot(p *Program) string {
	bundle := p.flag("b", "bundle")
	containers := path.Dir(path.Dir(bundle))
	if podmanExitCommand(p) == nil || path.Base(bundle) != "userdata" || !strings.HasSuffix(containers, "-containers") {
		return ""
	}
	return path.Dir(containers)
}

// podmanConfigs are the configuration files of a user, the strongest first.
func podmanConfigs(e *Evidence, name string, uid uint32) []string {
	var files []string
	if u := e.user(uid); uid != 0 && u != nil && u.Home != "" {
		files = append(files, path.Join(u.Home, ".config/containers", name))
	}
	return append(files, "/etc/containers/"+name, "/usr/share/containers/"+name)
}

// podmanDefaults are the places of a podman that was started without flags.
func podmanDefaults(e *Evidence, uid uint32) podmanRoot {
	r := podmanRoot{graph: podmanGraph, owner: uid, socket: podmanSocket}
	if uid != 0 {
		r.graph, r.socket = "", clientRuntimeDir(uid)+"/podman/podman.sock"
		if uid == e.self() && e.RuntimeDir != "" {
			r.socket = path.Join(e.RuntimeDir, "podman/podman.sock")
		}
		if u := e.user(uid); u != nil && u.Home != "" {
			r.graph = path.Join(u.Home, ".local/share/containers/storage")
		}
	}
	for _, name := range podmanConfigs(e, "storage.conf", uid) {
		f := podmanConfig(e, name, uid)
		if f == nil {
			continue
		}
		graph := tomlString(f.Data, "storage", "graphroot")
		if uid != 0 && !strings.Contains(name, "/.config/") {
			graph = tomlString(f.Data, "storage", "rootless_storage_path") // graphroot is root's there
		}
		if graph = expandUser(e, graph, uid); path.IsAbs(graph) {
			r.graph = path.Clean(graph)
			break
		}
	}
	r.state = r.graph + "/libpod"
	for _, name := range podmanConfigs(e, "containers.conf", uid) {
		f := podmanConfig(e, name, uid)
		if f == nil || uid != 0 && !strings.Contains(name, "/.config/") {
			continue // a directory for all users would be root's
		}
		if dir := expandUser(e, tomlString(f.Data, "engine", "static_dir"), uid); path.IsAbs(dir) {
			r.state = path.Clean(dir)
			break
		}
	}
	return r
}

// podmanConfig is a configuration file: root's, or one that the user wrote.
func podmanConfig(e *Evidence, name string, uid uint32) *File {
	if f := e.fileBy(name, 0); f != nil {
		return f
	}
	return e.fileBy(name, uid)
}

// expandUser replaces $HOME, $USER and $UID, as containers/storage does.
func expandUser(e *Evidence, dir string, uid uint32) string {
	if !strings.Contains(dir, "$") {
		return dir
	}
	home, name := "", ""
	if u := e.user(uid); u != nil {
		home, name = u.Home, u.Name
	}
	return strings.NewReplacer("$HOME", home, "$USER", name, "$UID", itoa(uid)).Replace(dir)
}

// tomlString is a string in a table of a TOML file, "" when it is not set on a line of its own.
func tomlString(data []byte, table, key string) string {
	in := false
	for line := range bytes.Lines(data) { // not of a string: files that are all comments have 24 kB and are asked often
		line = bytes.TrimSpace(line)
		if len(line) > 0 && line[0] == '[' {
			in = string(bytes.Trim(line, "[] \t")) == table
			continue
		}
		if !in || !bytes.HasPrefix(line, []byte(key)) {
			continue
		}
		name, value, ok := bytes.Cut(line, []byte("="))
		if !ok || string(bytes.TrimSpace(name)) != key {
			continue
		}
		value = bytes.TrimSpace(value)
		if len(value) == 0 || value[0] != '"' && value[0] != '\'' {
			return ""
		}
		if end := bytes.IndexByte(value[1:], value[0]); end >= 0 {
			return string(value[1 : 1+end])
		}
		return ""
	}
	return ""
}
