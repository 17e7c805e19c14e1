package engine

import (
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/nsview/nsview/nsinspect"
)

// bwrap recognises what bubblewrap started. A bwrap that stays in the namespaces where it was started is the parent of
// the first process of the sandbox: the command, or with a PID namespace another bwrap, which is PID 1 there. It has no
// records, and a sandbox has no name: that PID is taken for it. Flatpak's, which have one, are in flatpak.go.
func bwrap() Engine {
	return Engine{Name: "bwrap", Programs: []string{"bwrap"}, Identify: bwrapIdentify}
}

func bwrapIdentify(e *Evidence) []Found {
	var found []Found
	first := e.firstChildren()
	for _, p := range e.named("bwrap") {
		init := first[p.PID]
		if init == nil || !p.UID.Mapped() {
			continue
		}
		claim := nsinspect.Claim{ID: strconv.Itoa(init.PID), Name: strconv.Itoa(init.PID), InitPID: init.PID, StartTime: init.StartTime}
		claim.EngineFacts = nsinspect.EngineFacts{
			State: "running", Evidence: "process", Chain: []nsinspect.ChainLink{link(p.PID, p.Comm, "monitor")},
		}
		claim.User, claim.Mounts = bwrapOptions(p)
		found = append(found, Found{Claim: claim, By: uint32(p.UID)})
	}
	return found
}

// bwrapOptions are the user and the mounts of a command line. With --args FD some or all options are in a file that
// nobody else can read.
func bwrapOptions(p *Program) (user string, mounts []nsinspect.EngineMount) {
	options, _ := parseOptions(p.Args, bwrapTakes())
	user = lastOf(options, "uid")
	if gid := lastOf(options, "gid"); user != "" && gid != "" {
		user += ":" + gid
	}
	for _, o := range options {
		name := strings.TrimSuffix(o.name, "-try")
		switch {
		case (name == "bind" || name == "dev-bind" || name == "ro-bind") && len(o.values) == 2:
			source := o.values[0]
			if !path.IsAbs(source) {
				if p.Cwd == "" {
					continue
				}
				source = path.Join(p.Cwd, source)
			}
			mounts = append(mounts, nsinspect.EngineMount{
				Type: "bind", Source: path.Clean(source), Destination: path.Join("/", o.values[1]), ReadOnly: name == "ro-bind",
			})
		case name == "tmpfs" && len(o.values) == 1:
			mounts = append(mounts, nsinspect.EngineMount{Type: "tmpfs", Source: "tmpfs", Destination: path.Join("/", o.values[0])})
		case name == "remount-ro" && len(o.values) == 1:
			for i := range slices.Backward(mounts) {
				if mounts[i].Destination == path.Join("/", o.values[0]) {
					mounts[i].ReadOnly = true
					break
				}
			}
		}
	}
	return user, mounts
}

// bwrapTakes says how many arguments the options of bwrap(1) have, up to 0.11.
func bwrapTakes() map[string]int {
	takes := make(map[string]int)
	for n, names := range []string{
		1: "args argv0 userns userns2 pidns uid gid hostname chdir unsetenv lock-file sync-fd remount-ro exec-label file-label proc dev " +
			"tmpfs mqueue dir seccomp add-seccomp-fd block-fd userns-block-fd info-fd json-status-fd cap-add cap-drop perms size " +
			"overlay-src tmp-overlay ro-overlay",
		2: "setenv bind bind-try dev-bind dev-bind-try ro-bind ro-bind-try bind-fd ro-bind-fd file bind-data ro-bind-data symlink chmod",
		3: "overlay",
	} {
		for name := range strings.FieldsSeq(names) {
			takes[name] = n
		}
	}
	return takes
}
