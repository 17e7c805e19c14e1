package runner

import (
	"errors"
	"testing"

	"github.com/nsview/nsview/idmap"
)

// alice is an ordinary user with a grant of uids and none of gids, and with a gid that is not her uid.
func alice() *Caller {
	c := &Caller{
		UID: 1000, GID: 100, Login: "alice", Kernel: "6.18.0", Cwd: "/home/alice",
		UIDMap: idmap.Identity(), GIDMap: idmap.Identity(), Setgroups: "allow", InitialUserNS: true, OwnsMountNS: true,
		NewuidmapPath: "/usr/bin/newuidmap", NewgidmapPath: "/usr/bin/newgidmap",
	}
	c.Newuidmap = idmap.Newidmap{Installed: true, SetID: true, LoginGroup: 100, Grants: []idmap.Grant{{First: 100000, Count: 65536}}}
	c.Newgidmap = idmap.Newidmap{Installed: true, SetID: true, LoginGroup: 100}
	return c
}

// A plan is pure, so what it refuses is tested without starting anything: the reason, and what would be accepted.
func TestPlanRefuses(t *testing.T) {
	root := alice()
	root.UID, root.GID, root.Login, root.Caps = 0, 0, "root", allCaps
	root.Newuidmap.Grants = nil
	inside := alice()
	inside.ForeignProc = true
	nowhere := alice()
	nowhere.Cwd = ""
	run := func(s Spec) Spec {
		s.Command = []string{"true"}
		return s
	}
	for _, c := range []struct {
		name       string
		caller     *Caller
		spec       Spec
		what, hint string
	}{
		{
			"no grant of gids", alice(), run(Spec{MapAuto: true}),
			"--map-auto: /etc/subgid grants no gids to uid 1000", "root grants a range with usermod --add-subgids FIRST-LAST alice",
		},
		{
			"root without a grant", root, run(Spec{MapAuto: true}),
			"--map-auto: /etc/subuid grants no uids to uid 0", "you need no grant: choose the ids, as in --map-uid 0:100000:65536",
		},
		{
			"beyond the grant", alice(), run(Spec{MapUID: mapped(0, 100000, 65537)}),
			"uid map 0:100000:65537: outside 165536 of 0:100000:65537 is not granted by /etc/subuid to uid 1000",
			"accepted would be outside ids within 100000-165535; outside 1000 alone",
		},
		{
			"setgroups", alice(), run(Spec{MapRoot: true, Setgroups: "allow"}),
			"gid map 0:100:1: a writer without CAP_SETGID must first write deny to /proc/PID/setgroups",
			"--setgroups deny, or leave it out; gids of a grant (--map-auto) go with allow",
		},
		{
			"procfs of another PID namespace", inside, run(Spec{MapRoot: true}),
			"/proc shows the processes of another PID namespace than this one",
			"mount a procfs of this PID namespace on /proc, as nsview run --mount-proc does",
		},
		{
			"relative path, no directory", nowhere, run(Spec{MapRoot: true, Root: "rootfs"}),
			"--root rootfs: the working directory is gone, or out of reach", "give an absolute path",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := NewPlan(c.spec, c.caller)
			var e *Error
			if !errors.As(err, &e) || e.Error() != c.what || e.Hint != c.hint || e.Status != StatusFailure {
				t.Errorf("got %+v, want %q and the hint %q", err, c.what, c.hint)
				if e != nil {
					t.Errorf("hint: %q", e.Hint)
				}
			}
		})
	}
}
