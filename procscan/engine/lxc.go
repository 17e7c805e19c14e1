package engine

import (
	"path"
	"slices"
	"strings"

	"github.com/nsview/nsview/nsinspect"
)

// lxc recognises the containers of liblxc, which LXC's own commands, LXD and Incus all use. The parent of a container's
// first process is its monitor, whose command line is one string, "[lxc monitor] LXCPATH NAME", or in the foreground
// that of lxc-start or lxc-execute. LXCPATH/NAME/config has maps and mounts, also of containers that do not run. LXD and
// Incus have their records elsewhere: lxd.go.
//
// A monitor in another mount namespace with another root directory, as LXD's in a snap, is not read. Then the cgroup
// tells the name: /lxc.payload.NAME is made at the root of the hierarchy, where only root can make one.
func lxc() Engine {
	return Engine{
		Name: lxcName, Programs: []string{"lxc-start", "lxc-execute", "lxc-autostart", "lxc-copy", "lxd", "incusd"},
		Files: lxcFiles, Identify: lxcIdentify,
	}
}

// What is told apart by where the containers are, or by the name of the monitor's program.
const (
	lxcName   = "lxc"
	lxdName   = "lxd"
	incusName = "incus"
)

// The cgroups of a container and of its monitor, at the root of the hierarchy (lxc.container.conf(5)).
const (
	lxcPayload = "/lxc.payload."
	lxcMonitor = "/lxc.monitor."
)

// lxcPlace is a directory of containers.
type lxcPlace struct {
	engine   string
	path     string // LXCPATH; for LXD and Incus DIR/containers
	owner    uint32
	standard bool // the one that owner's commands use by default: names are unique in it
}

// id is the ID of a container of this place: its name, or elsewhere its path without the first slash, as a TARGET that
// begins with one is a path to a namespace.
func (l *lxcPlace) id(name string) string {
	if l.standard {
		return ownID(l.owner, name)
	}
	return ownID(l.owner, strings.TrimPrefix(path.Join(l.path, name), "/"))
}

// configs are the patterns of the configuration files of the containers that match name.
func (l *lxcPlace) configs(name string) []string {
	if l.engine != lxcName {
		return l.lxdConfigs(name)
	}
	return []string{path.Join(l.path, name, "config")}
}

// lxcPlaces lists where containers are: where monitors say, the host's directories, and those of users.
func lxcPlaces(e *Evidence) []lxcPlace {
	var places []lxcPlace
	add := func(l lxcPlace) {
		if !slices.ContainsFunc(places, func(have lxcPlace) bool { return have.path == l.path && have.owner == l.owner }) {
			places = append(places, l)
		}
	}
	add(lxcPlace{lxcName, lxcPathOf(e, 0, "/etc/lxc/lxc.conf", "/var/lib/lxc"), 0, true})
	for _, u := range e.Users {
		if u.Home != "" {
			home := path.Join(u.Home, ".local/share/lxc")
			add(lxcPlace{lxcName, lxcPathOf(e, u.UID, path.Join(u.Home, ".config/lxc/lxc.conf"), home), u.UID, true})
		}
	}
	for _, dir := range lxdDirs() {
		add(lxcPlace{dir.engine, path.Join(dir.path, "containers"), 0, dir.standard})
	}
	for _, m := range lxcMonitors(e) {
		add(lxcPlace{m.engine, m.path, m.owner, false})
	}
	return places
}

// lxcPathOf is where a user's commands keep containers: lxc.lxcpath of lxc.system.conf(5), else the default.
func lxcPathOf(e *Evidence, uid uint32, config, standard string) string {
	if f := e.fileBy(config, uid); f != nil {
		for key, value := range lxcLines(f.Data) {
			if key == "lxc.lxcpath" && path.IsAbs(value) {
				standard = path.Clean(value)
			}
		}
	}
	return standard
}

// lxcProgram is a monitor and what its command line says.
type lxcProgram struct {
	*Program
	engine, path, name string
	owner              uint32
}

func lxcMonitors(e *Evidence) []lxcProgram {
	var list []lxcProgram
	for _, p := range e.named(lxc().Programs...) {
		m := lxcProgram{Program: p, engine: lxcEngine(p.Comm)}
		if !p.UID.Mapped() || len(p.Args) == 0 {
			continue
		}
		m.owner = uint32(p.UID)
		if title, ok := strings.CutPrefix(p.Args[0], "[lxc monitor] "); ok {
			// A path may have blanks, a name has none.
			if at := strings.LastIndexByte(title, ' '); at > 0 {
				m.path, m.name = title[:at], title[at+1:]
			}
		} else if p.Comm == "lxc-start" || p.Comm == "lxc-execute" {
			options, operands := parseOptions(p.Args, lxcTakes())
			m.path, m.name = lastOf(options, "lxcpath", "P"), lastOf(options, "name", "n")
			if m.name == "" && p.Comm == "lxc-start" && len(operands) > 0 {
				m.name = operands[0]
			}
			if m.path == "" {
				m.path = lxcStandard(e, m.owner)
			}
		}
		if m.path = path.Clean(m.path); path.IsAbs(m.path) && plainComponent(m.name) && !strings.ContainsAny(m.path, globMeta) {
			list = append(list, m)
		}
	}
	return list
}

// lxcTakes are the options of lxc-start(1) and lxc-execute(1) that have an argument.
func lxcTakes() map[string]int {
	takes := make(map[string]int)
	for name := range strings.FieldsSeq("n name P lxcpath f rcfile s define o logfile l logpriority p pidfile c console L console-log " +
		"share-net share-ipc share-uts share-pid u uid g gid") {
		takes[name] = 1
	}
	return takes
}

// lxcStandard is the LXCPATH of a command without -P.
func lxcStandard(e *Evidence, uid uint32) string {
	if uid == 0 {
		return lxcPathOf(e, 0, "/etc/lxc/lxc.conf", "/var/lib/lxc")
	}
	if u := e.user(uid); u != nil && u.Home != "" {
		return lxcPathOf(e, uid, path.Join(u.Home, ".config/lxc/lxc.conf"), path.Join(u.Home, ".local/share/lxc"))
	}
	return ""
}

// lxcEngine is whose monitor a program with that name is.
func lxcEngine(comm string) string {
	switch comm {
	case "lxd":
		return lxdName
	case "incusd":
		return incusName
	}
	return lxcName
}

func lxcFiles(e *Evidence) []Pattern {
	patterns := []Pattern{{Glob: "/etc/lxc/lxc.conf"}}
	for _, u := range e.Users {
		if u.Home != "" {
			patterns = append(patterns, Pattern{Glob: path.Join(u.Home, ".config/lxc/lxc.conf"), Owner: u.UID})
		}
	}
	for _, l := range lxcPlaces(e) {
		for _, glob := range append(l.configs("*"), l.lxdRecords("*")...) {
			patterns = append(patterns, Pattern{Glob: glob, Owner: l.owner})
			for _, f := range e.matching(glob) {
				patterns = append(patterns, lxcIncludes(e, f)...)
			}
		}
	}
	for _, name := range lxcPayloads(e) {
		patterns = append(patterns, Pattern{Glob: lxcFreezer + name + "/freezer.state"}, Pattern{Glob: lxcFreezer2 + name + "/cgroup.freeze"})
	}
	return patterns
}

// Where the kernel says that a container is frozen.
const (
	lxcFreezer  = "/sys/fs/cgroup/freezer" + lxcPayload
	lxcFreezer2 = "/sys/fs/cgroup" + lxcPayload
)

// lxcPayloads lists the names in the cgroups of containers.
func lxcPayloads(e *Evidence) []string {
	var names []string
	for i := range e.Snapshot.Processes {
		if name := lxcPayloadName(&e.Snapshot.Processes[i]); name != "" && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

// lxcPayloadName is the name in a process's cgroup, "" when the cgroup is none of a container. Below the first component
// a container may make what it likes.
func lxcPayloadName(p *nsinspect.Process) string {
	name, ok := strings.CutPrefix(p.Cgroup, lxcPayload)
	if !ok {
		return ""
	}
	if name, _, _ = strings.Cut(name, "/"); !plainComponent(name) {
		return ""
	}
	return name
}

func lxcIdentify(e *Evidence) []Found {
	var (
		found   []Found
		running = make(map[string]bool) // ENGINE:ID
		known   = make(map[string]bool) // cgroup names of containers that have a monitor
		places  = lxcPlaces(e)
		first   = e.firstChildren()
	)
	add := func(l *lxcPlace, name string, claim nsinspect.Claim) {
		claim.Engine, claim.ID, claim.Name = l.engine, l.id(name), name
		running[claim.Engine+":"+claim.ID] = true
		lxcRecords(e, l, name, &claim)
		found = append(found, Found{Claim: claim, By: l.owner})
	}
	for _, m := range lxcMonitors(e) {
		init := first[m.PID]
		if init == nil {
			continue
		}
		known[lxcPayloadName(init)] = true
		add(lxcPlaceOf(places, m.path, m.owner), m.name, lxcRunning(e, init, "process", append(lxdDaemon(e, m.engine), link(m.PID, m.Comm, "monitor"))))
	}
	for _, name := range lxcPayloads(e) {
		if known[name] {
			continue
		}
		init := e.init(func(p *nsinspect.Process) bool { return lxcPayloadName(p) == name && e.apart(p) })
		if init == nil {
			continue
		}
		engine := ""
		var chain []nsinspect.ChainLink
		if up := e.Snapshot.Process(init.PPID); up != nil && up.Cgroup == lxcMonitor+name {
			engine = lxcEngine(up.Comm)
			chain = append(lxdDaemon(e, engine), link(up.PID, up.Comm, "monitor"))
		}
		add(lxcPlaceWith(e, places, engine, name), name, lxcRunning(e, init, "cgroup", chain))
	}
	for i := range places {
		for _, name := range lxcNames(e, &places[i]) {
			l := &places[i]
			if running[l.engine+":"+l.id(name)] {
				continue
			}
			claim := nsinspect.Claim{Engine: l.engine, ID: l.id(name), Name: name, EngineFacts: nsinspect.EngineFacts{State: "stopped", Evidence: "state"}}
			lxcRecords(e, l, name, &claim)
			found = append(found, Found{Claim: claim, By: l.owner})
		}
	}
	return found
}

// lxcPlaceOf is the place with that path.
func lxcPlaceOf(places []lxcPlace, dir string, owner uint32) *lxcPlace {
	for i := range places {
		if places[i].path == dir && places[i].owner == owner {
			return &places[i]
		}
	}
	return &lxcPlace{engine: lxcName, path: dir, owner: owner}
}

// lxcPlaceWith is root's place of an engine, "" for any, that has records of a container, else the engine's first.
func lxcPlaceWith(e *Evidence, places []lxcPlace, engine, name string) *lxcPlace {
	first := &places[0]
	for i := range places {
		l := &places[i]
		if l.owner != 0 || engine != "" && l.engine != engine {
			continue
		}
		if slices.Contains(lxcNames(e, l), name) {
			return l
		}
		if first.engine != l.engine && engine != "" {
			first = l
		}
	}
	return first
}

// lxcNames lists the containers of a place that have a record.
func lxcNames(e *Evidence, l *lxcPlace) []string {
	var names []string
	for _, glob := range append(l.configs("*"), l.lxdRecords("*")...) {
		for _, f := range e.matching(glob) {
			if name := path.Base(path.Dir(f.Path)); f.By == l.owner && plainComponent(name) && !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	slices.Sort(names)
	return names
}

// lxcRunning is the claim about a container whose first process is init.
func lxcRunning(e *Evidence, init *nsinspect.Process, evidence string, chain []nsinspect.ChainLink) nsinspect.Claim {
	state := "running"
	if name := lxcPayloadName(init); name != "" {
		for file, frozen := range map[string]string{lxcFreezer + name + "/freezer.state": "FROZEN", lxcFreezer2 + name + "/cgroup.freeze": "1"} {
			if f := e.fileBy(file, 0); f != nil && strings.TrimSpace(string(f.Data)) == frozen {
				state = "frozen"
			}
		}
	}
	return nsinspect.Claim{
		InitPID: init.PID, StartTime: init.StartTime,
		EngineFacts: nsinspect.EngineFacts{State: state, Evidence: evidence, Chain: chain},
	}
}

// lxcRecords adds what the files about a container say.
func lxcRecords(e *Evidence, l *lxcPlace, name string, claim *nsinspect.Claim) {
	for _, glob := range l.configs(name) {
		if f := e.fileBy(glob, l.owner); f != nil {
			claim.UIDMap, claim.GIDMap, claim.User, claim.Mounts = lxcConfigOf(e, f).facts()
			break
		}
	}
	l.lxdFacts(e, name, claim)
}
