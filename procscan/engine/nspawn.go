package engine

import (
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/nsview/nsview/idmap"
	"github.com/nsview/nsview/nsinspect"
)

// nspawn recognises the machines of systemd-nspawn by its command line: it stays outside and is the parent of a machine's
// first process, of init, the command, or with --as-pid2 a stub. NAME.nspawn (systemd.nspawn(5)) has settings that the
// command line does not have. Machines that do not run are those with such a file, and the directories in
// /var/lib/machines.
func nspawn() Engine {
	return Engine{
		Name: "nspawn", Programs: []string{"systemd-nspawn"}, Holds: []string{"systemd-nspawn"},
		Files: nspawnFiles, Identify: nspawnIdentify,
	}
}

const nspawnMachines = "/var/lib/machines"

// nspawnSettings are the directories of settings, the first of which that has a machine's counts. Those beside an image
// may not bind and map unless --settings=trusted says so, and are not read.
func nspawnSettings() []string { return []string{"/etc/systemd/nspawn", "/run/systemd/nspawn"} }

func nspawnFiles(*Evidence) []Pattern {
	var patterns []Pattern
	for _, dir := range nspawnSettings() {
		patterns = append(patterns, Pattern{Glob: dir + "/*.nspawn"})
	}
	// That it can be read says that there is a machine; what is in it is the machine's own.
	return append(patterns, Pattern{Glob: nspawnMachines + "/*/usr/lib/os-release"}, Pattern{Glob: nspawnMachines + "/*/etc/os-release"})
}

func nspawnIdentify(e *Evidence) []Found {
	var found []Found
	taken, first := make(map[string]bool), e.firstChildren()
	for _, p := range e.named("systemd-nspawn") {
		init := first[p.PID]
		if init == nil || !p.UID.Mapped() {
			continue
		}
		n := parseNspawn(p)
		if n.name == "" {
			n.name = strconv.Itoa(p.PID)
		}
		id := ownID(uint32(p.UID), n.name)
		if taken[id] {
			id += "@" + strconv.Itoa(p.PID) // names are unique only among those that are registered
		}
		taken[id] = true
		n.settle(e)
		claim := nsinspect.Claim{ID: id, Name: n.name, InitPID: init.PID, StartTime: init.StartTime, EngineFacts: n.facts()}
		claim.State, claim.Evidence = "running", "process"
		claim.Chain = []nsinspect.ChainLink{link(p.PID, p.Comm, "supervisor")}
		found = append(found, Found{Claim: claim, By: uint32(p.UID)})
	}
	for _, name := range nspawnNames(e) {
		if taken[name] {
			continue
		}
		taken[name] = true
		n := nspawnMachine{name: name, image: path.Join(nspawnMachines, name)}
		n.settle(e)
		claim := nsinspect.Claim{ID: name, Name: name, EngineFacts: n.facts()}
		claim.State, claim.Evidence = "stopped", "state"
		found = append(found, Found{Claim: claim})
	}
	return found
}

// nspawnNames lists the machines that have files. A name with a dot before it is one that is being made.
func nspawnNames(e *Evidence) []string {
	var names []string
	add := func(name string) {
		if !strings.HasPrefix(name, ".") && plainComponent(name) && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	for _, dir := range nspawnSettings() {
		for _, f := range e.matching(dir + "/*.nspawn") {
			add(strings.TrimSuffix(path.Base(f.Path), ".nspawn"))
		}
	}
	for _, f := range e.matching(nspawnMachines + "/*/*/os-release") {
		add(path.Base(path.Dir(path.Dir(f.Path))))
	}
	for _, f := range e.matching(nspawnMachines + "/*/usr/lib/os-release") {
		add(path.Base(path.Dir(path.Dir(path.Dir(f.Path)))))
	}
	slices.Sort(names)
	return names
}

// nspawnMachine is what command line and settings say.
type nspawnMachine struct {
	name, image, user string
	privateUsers      string
	mounts            []nsinspect.EngineMount
	settings          string // --settings
}

func parseNspawn(p *Program) nspawnMachine {
	options, _ := parseOptions(p.Args, nspawnTakes())
	n := nspawnMachine{
		name: lastOf(options, "machine", "M"), user: lastOf(options, "user", "u"), settings: lastOf(options, "settings"),
		image: lastOf(options, "directory", "D", "image", "i", "oci-bundle"),
	}
	for _, o := range options {
		value := ""
		if len(o.values) > 0 {
			value = o.values[0]
		}
		switch o.name {
		case "bind", "bind-ro", "tmpfs":
			if m, ok := nspawnMount(o.name, value); ok {
				n.mounts = append(n.mounts, m)
			}
		case "private-users":
			n.privateUsers = value
		case "U":
			n.privateUsers = "pick"
		}
	}
	switch {
	case n.image == "" && n.name != "":
		n.image = path.Join(nspawnMachines, n.name)
	case n.image == "":
		n.image = p.Cwd
	case !path.IsAbs(n.image) && p.Cwd != "":
		n.image = path.Join(p.Cwd, n.image)
	}
	if n.name == "" {
		n.name = nspawnName(strings.TrimSuffix(path.Base(n.image), ".raw"))
	}
	return n
}

// nspawnName is a directory's name as the name of a machine: what no host name has is left out (hostname_cleanup() of
// systemd).
func nspawnName(name string) string {
	name = strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '.' {
			return r
		}
		return -1
	}, name)
	return strings.Trim(name[:min(len(name), 64)], ".-")
}

// settle adds what the settings have and the command line has not, or the other way round with --settings=override.
func (n *nspawnMachine) settle(e *Evidence) {
	if n.settings == "no" || n.settings == "false" || n.settings == "0" {
		return
	}
	var file *File
	for _, dir := range nspawnSettings() {
		if f := e.fileBy(path.Join(dir, n.name+".nspawn"), 0); f != nil {
			file = f
			break
		}
	}
	if file == nil {
		return
	}
	var s nspawnMachine
	section := ""
	for line := range strings.Lines(string(file.Data)) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "[") {
			section = line
			continue
		}
		key, value, ok := strings.Cut(line, "=")
		if key, value = strings.TrimSpace(key), strings.TrimSpace(value); !ok || strings.HasPrefix(key, "#") || strings.HasPrefix(key, ";") {
			continue
		}
		switch section + key {
		case "[Exec]User":
			s.user = value
		case "[Exec]PrivateUsers":
			s.privateUsers = value
		case "[Files]Bind", "[Files]BindReadOnly", "[Files]TemporaryFileSystem":
			kind := map[string]string{"Bind": "bind", "BindReadOnly": "bind-ro", "TemporaryFileSystem": "tmpfs"}[key]
			if m, ok := nspawnMount(kind, value); ok {
				s.mounts = append(s.mounts, m)
			}
		}
	}
	override := n.settings == "override"
	if s.user != "" && (n.user == "" || override) {
		n.user = s.user
	}
	if s.privateUsers != "" && (n.privateUsers == "" || override) {
		n.privateUsers = s.privateUsers
	}
	if len(s.mounts) > 0 && (len(n.mounts) == 0 || override) {
		n.mounts = s.mounts
	}
}

func (n *nspawnMachine) facts() nsinspect.EngineFacts {
	facts := nsinspect.EngineFacts{Image: n.image, User: n.user, Mounts: n.mounts}
	facts.UIDMap = nspawnMap(n.privateUsers)
	facts.GIDMap = slices.Clone(facts.UIDMap)
	return facts
}

// nspawnMap is the map that --private-users asks for: BASE, BASE:COUNT or identity. Which one "pick" picked only the
// kernel tells.
func nspawnMap(value string) idmap.Map {
	if value == "identity" {
		return idmap.Map{{Count: 65536}}
	}
	base, count, has := strings.Cut(value, ":")
	from, err := strconv.ParseUint(base, 10, 32)
	n := uint64(65536)
	if has && err == nil {
		n, err = strconv.ParseUint(count, 10, 32)
	}
	// 0 and 1 are spellings of no and yes.
	if err != nil || !has && from < 2 || n == 0 {
		return nil
	}
	return idmap.Map{{Outside: idmap.Kernel(from), Count: uint32(n)}}
}

// nspawnMount is the argument of --bind and --bind-ro, SOURCE[:DESTINATION[:OPTIONS]], or of --tmpfs, PATH[:OPTIONS]. A
// colon with a backslash before it is part of a path; a + before SOURCE means the machine's own files, and no SOURCE a new
// directory.
func nspawnMount(kind, value string) (nsinspect.EngineMount, bool) {
	fields := splitEscaped(value, ':')
	m := nsinspect.EngineMount{Type: "bind", Source: fields[0], Destination: fields[0], ReadOnly: kind == "bind-ro"}
	rest := fields[1:]
	if kind == "tmpfs" {
		m.Type, m.Source = "tmpfs", "tmpfs"
	} else if len(rest) > 0 {
		m.Destination, rest = rest[0], rest[1:]
	}
	if len(rest) > 0 {
		m.Options = strings.Split(strings.Join(rest, ":"), ",")
	}
	m.Destination = strings.TrimPrefix(m.Destination, "+")
	if !path.IsAbs(m.Destination) || strings.HasPrefix(m.Source, "+") {
		return m, false
	}
	return m, true
}

// splitEscaped splits at a separator that has no backslash before it.
func splitEscaped(s string, separator byte) []string {
	fields := []string{""}
	for i := 0; i < len(s); i++ {
		last := &fields[len(fields)-1]
		switch {
		case s[i] == '\\' && i+1 < len(s):
			i++
			*last += s[i : i+1]
		case s[i] == separator:
			fields = append(fields, "")
		default:
			*last += s[i : i+1]
		}
	}
	return fields
}

// nspawnTakes are the options of systemd-nspawn(1) that have an argument, up to version 257. An optional one is always
// behind "=".
func nspawnTakes() map[string]int {
	takes := make(map[string]int)
	for name := range strings.FieldsSeq("D directory template i image oci-bundle image-policy root-hash root-hash-sig verity-data pivot-root " +
		"M machine hostname uuid S slice property register Z selinux-context L selinux-apifs-context u user chdir E setenv kill-signal notify-ready " +
		"capability ambient-capability drop-capability system-call-filter rlimit oom-score-adjust cpu-affinity personality " +
		"network-interface network-macvlan network-ipvlan network-veth-extra network-bridge network-zone network-namespace-path p port " +
		"private-users-ownership bind-user resolv-conf timezone link-journal bind bind-ro inaccessible tmpfs overlay overlay-ro " +
		"set-credential load-credential console background settings suppress-sync restrict-address-families") {
		takes[name] = 1
	}
	return takes
}
