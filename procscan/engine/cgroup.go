package engine

import (
	"slices"
	"strconv"
	"strings"
)

// cgroupName is what the path of a cgroup tells of the container that it is of.
type cgroupName struct {
	engine string // "" when several make such paths
	id     string // 64 hexadecimal digits, or a name
	podID  string // podman
	podUID string // Kubernetes
	by     uint32 // who may have made it
}

// fromCgroup reads the path of a cgroup: the outermost component that an engine made for a container counts, for a
// container makes cgroups only below its own. So that one made by an engine that leaves no mark (runc alone) cannot
// pretend to be another, all components above must be of those that hosts have. Below user-UID.slice it is that user who
// made them.
//
// The path is relative to the observer's cgroup namespace: /../ID is beside the observer's own cgroup (cgroups(7)).
// parent is the path of the cgroup in which the container's was made.
func fromCgroup(cgroup string) (name cgroupName, parent string, ok bool) {
	var w cgroupWalk
	parts := strings.Split(strings.Trim(strings.TrimSuffix(cgroup, " (deleted)"), "/"), "/")
	for i, part := range parts {
		if w.container(part) {
			supervisor := w.engine == "nspawn" && i+1 < len(parts) && parts[i+1] == "supervisor" // systemd-nspawn itself
			return w.cgroupName, "/" + strings.Join(w.above, "/"), w.id != "" && !supervisor
		}
		if !w.enter(part) {
			break
		}
		w.above = append(w.above, part)
	}
	return cgroupName{}, "", false
}

// cgroupWalk is what the components so far have told.
type cgroupWalk struct {
	cgroupName
	above []string
	user  bool // by is known
	kube  bool // below the kubelet's
}

// parent is the component before, "" at the top.
func (w *cgroupWalk) parent() string {
	if len(w.above) == 0 {
		return ""
	}
	return w.above[len(w.above)-1]
}

// enter takes a component that is no container's, and reports whether hosts have such.
func (w *cgroupWalk) enter(part string) bool {
	if uid, ok := userUnit(part); ok && !w.user {
		w.by, w.user = uid, true // a user may make user-0.slice below
	}
	switch {
	case part == "..", part == "docker", part == "crio", part == "libpod_parent", part == "kubelet":
		return true
	case part == "lxc", part == "default", part == "k8s.io":
		return len(w.above) == 0
	case part == "kubepods":
		w.kube = true
		return true
	case w.kube && (part == "burstable" || part == "besteffort" || part == "guaranteed"):
		return true
	case w.parent() == "libpod_parent" && hexID(part):
		w.podID = part
		return true
	case strings.HasSuffix(part, ".slice"):
		w.enterSlice(strings.TrimSuffix(part, ".slice"))
		return true
	case strings.HasSuffix(part, ".service"):
		return true
	}
	uid, ok := strings.CutPrefix(part, "pod")
	if ok && (w.kube || w.parent() == "..") && podUID(uid) {
		w.podUID, w.kube = uid, true
		return true
	}
	return false
}

// enterSlice takes a slice: kubepods-burstable-podUID.slice of the kubelet (in whose uid a - is a _), and
// machine-libpod_pod_ID.slice of podman.
func (w *cgroupWalk) enterSlice(name string) {
	if strings.Contains(name, "kubepods") {
		w.kube = true
		if at := strings.LastIndex(name, "-pod"); at >= 0 {
			if uid := strings.ReplaceAll(name[at+len("-pod"):], "_", "-"); podUID(uid) {
				w.podUID = uid
			}
		}
	}
	if _, id, ok := strings.Cut(name, "libpod_pod_"); ok && hexID(id) {
		w.podID = id
	}
}

// container reports whether a component is one that an engine makes for a container. Its id is "" when the name is none
// that engines take, or not a container's after all.
func (w *cgroupWalk) container(part string) bool {
	// A runtime that takes a systemd path for a directory: SLICE:PREFIX:ID.
	if f := strings.Split(part, ":"); len(f) == 3 && strings.HasSuffix(f[0], ".slice") {
		w.enterSlice(strings.TrimSuffix(f[0], ".slice"))
		part = f[1] + "-" + f[2] + ".scope"
	}
	if hexID(part) {
		switch {
		case w.parent() == "docker":
			return w.is("docker", part)
		case len(w.above) == 1 && (w.parent() == "default" || w.parent() == "k8s.io"):
			return w.is("containerd", part)
		case w.podUID != "" || w.parent() == "..":
			return w.is("", part)
		}
		return false
	}
	name, scope := strings.CutSuffix(part, ".scope")
	for _, made := range []struct {
		prefix, engine string
		scope          bool // only systemd's
	}{
		{"docker-", "docker", true},
		{"libpod-payload-", "podman", false},
		{"libpod-", "podman", false},
		{"cri-containerd-", "containerd", true},
		{"nerdctl-", "containerd", true},
		{"crio-", crioName, false},
	} {
		if id, ok := strings.CutPrefix(name, made.prefix); ok && hexID(id) && (scope || !made.scope) {
			return w.is(made.engine, id)
		}
	}
	if id, ok := strings.CutPrefix(part, "lxc.payload."); ok {
		return w.is("lxc", id)
	}
	if w.parent() == "lxc" {
		return w.is("lxc", part)
	}
	if id, ok := unit(part, "systemd-nspawn@", ".service"); ok {
		return w.is("nspawn", unescapeUnit(id))
	}
	if id, ok := strings.CutPrefix(name, "machine-"); ok && scope {
		return w.machine(unescapeUnit(id))
	}
	for _, runtime := range []string{"runc", "crun"} {
		if id, ok := strings.CutPrefix(name, runtime+"-"); ok && scope {
			return w.is(runtime, id)
		}
	}
	return false
}

// is ends the walk. A name with anything but letters, digits and _.- is none that an engine takes.
func (w *cgroupWalk) is(engine, id string) bool {
	if plainUnit(id) {
		w.engine, w.id = engine, id
	}
	return true
}

// machine is a scope of systemd-machined(8): nspawn's, unless libvirt registered a virtual machine (qemu-N-NAME) or a
// container of its own.
func (w *cgroupWalk) machine(name string) bool {
	for _, libvirt := range []string{"qemu-", "lxc-"} {
		number, _, ok := strings.Cut(strings.TrimPrefix(name, libvirt), "-")
		if _, err := strconv.Atoi(number); ok && err == nil && strings.HasPrefix(name, libvirt) {
			return true
		}
	}
	return w.is("nspawn", name)
}

// userUnit is the user of user-UID.slice and user@UID.service.
func userUnit(part string) (uint32, bool) {
	number, ok := unit(part, "user-", ".slice")
	if !ok {
		number, ok = unit(part, "user@", ".service")
	}
	uid, err := strconv.ParseUint(number, 10, 32)
	return uint32(uid), ok && err == nil
}

// unit is a name between a prefix and a suffix.
func unit(part, prefix, suffix string) (string, bool) {
	name, ok := strings.CutPrefix(part, prefix)
	if !ok {
		return "", false
	}
	return strings.CutSuffix(name, suffix)
}

// unescapeUnit undoes systemd-escape(1): \xNN is a byte.
func unescapeUnit(name string) string {
	var b strings.Builder
	for len(name) > 0 {
		if len(name) >= 4 && name[:2] == `\x` {
			if c, err := strconv.ParseUint(name[2:4], 16, 8); err == nil {
				b.WriteByte(byte(c))
				name = name[4:]
				continue
			}
		}
		b.WriteByte(name[0])
		name = name[1:]
	}
	return b.String()
}

// podUID reports whether s can be the uid of a pod: a UUID, or the digest that a static pod has.
func podUID(s string) bool {
	return len(s) >= 32 && len(s) <= 36 && strings.Trim(s, "0123456789abcdef-") == ""
}

// plainUnit reports whether s can be the name of a container or a namespace of one: letters, digits, and _.- after the
// first.
func plainUnit(s string) bool {
	for i, r := range s {
		alnum := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9'
		if !alnum && (i == 0 || !slices.Contains([]rune("_.-"), r)) {
			return false
		}
	}
	return s != "" && len(s) <= 255
}
