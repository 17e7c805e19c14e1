package engine

import (
	"encoding/json"
	"path"
	"strconv"
	"strings"

	"github.com/nsview/nsview/nsinspect"
)

// flatpak reads what flatpak run leaves about an instance of an application in $XDG_RUNTIME_DIR/.flatpak/INSTANCE: info
// has its name, bwrapinfo.json the first process of its sandbox, and pid the bwrap outside, whose options are in a file
// that nobody else can read. Its name is the application's, its id the instance's.
func flatpak() Engine {
	return Engine{Name: "flatpak", Programs: []string{"bwrap"}, Files: flatpakFiles, Identify: flatpakIdentify}
}

func flatpakFiles(e *Evidence) []Pattern {
	var patterns []Pattern
	add := func(dir string, owner uint32) {
		for _, name := range []string{"info", "bwrapinfo.json", "pid"} {
			patterns = append(patterns, Pattern{Glob: path.Join(dir, ".flatpak/*", name), Owner: owner})
		}
	}
	add(clientRuntimeDir(0), 0)
	for _, u := range e.Users {
		add(clientRuntimeDir(u.UID), u.UID)
	}
	if e.RuntimeDir != "" {
		add(e.RuntimeDir, e.self())
	}
	return patterns
}

func flatpakIdentify(e *Evidence) []Found {
	var found []Found
	for i := range e.Files {
		f := &e.Files[i]
		dir, ok := strings.CutSuffix(f.Path, "/info")
		if !ok || path.Base(path.Dir(dir)) != ".flatpak" {
			continue
		}
		if claim := flatpakInstance(e, dir, f); claim != nil {
			found = append(found, Found{Claim: *claim, By: f.By})
		}
	}
	return found
}

// flatpakInstance is the claim about one instance, nil when it has ended: its process is not there, or has another mount
// namespace, and another parent, than were recorded.
func flatpakInstance(e *Evidence, dir string, f *File) *nsinspect.Claim {
	var bwrap struct {
		PID int             `json:"child-pid"`
		Mnt nsinspect.Inode `json:"mnt-namespace"`
	}
	state := e.fileBy(dir+"/bwrapinfo.json", f.By)
	if state == nil || json.Unmarshal(state.Data, &bwrap) != nil {
		return nil
	}
	p := e.Snapshot.Process(bwrap.PID)
	if p == nil {
		return nil
	}
	var monitor *Program
	if pid := e.fileBy(dir+"/pid", f.By); pid != nil {
		if n, err := strconv.Atoi(strings.TrimSpace(string(pid.Data))); err == nil && n == p.PPID {
			monitor = e.program(n)
		}
	}
	if monitor == nil && (p.Namespaces.Mnt == 0 || p.Namespaces.Mnt != bwrap.Mnt) {
		return nil
	}
	info := parseFlatpakInfo(f.Data)
	name := info["Application/name"]
	if name == "" {
		return nil
	}
	claim := &nsinspect.Claim{ID: ownID(f.By, path.Base(dir)), Name: name, InitPID: p.PID, StartTime: p.StartTime}
	claim.EngineFacts = nsinspect.EngineFacts{
		State: "running", Evidence: "state", Mounts: flatpakMounts(info["Context/filesystems"]),
		Image: path.Join("app", name, info["Instance/arch"], info["Instance/branch"]),
	}
	if monitor != nil {
		claim.Chain = []nsinspect.ChainLink{link(monitor.PID, monitor.Comm, "monitor")}
	}
	return claim
}

// parseFlatpakInfo reads a key file: values by GROUP/KEY. The group of environments is passed over.
func parseFlatpakInfo(data []byte) map[string]string {
	values := make(map[string]string)
	group := ""
	for line := range strings.Lines(string(data)) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "[") && strings.HasSuffix(line, "]") {
			group = line[1 : len(line)-1]
			continue
		}
		if key, value, ok := strings.Cut(line, "="); ok && group != "Environment" {
			values[group+"/"+key] = value
		}
	}
	return values
}

// flatpakMounts are the paths among the file systems that an application may see; "home" and the like are none.
func flatpakMounts(filesystems string) []nsinspect.EngineMount {
	var mounts []nsinspect.EngineMount
	for item := range strings.SplitSeq(filesystems, ";") {
		name, mode, _ := strings.Cut(item, ":")
		if path.IsAbs(name) {
			mounts = append(mounts, nsinspect.EngineMount{Type: "bind", Source: path.Clean(name), Destination: path.Clean(name), ReadOnly: mode == "ro"})
		}
	}
	return mounts
}
