package access

import (
	"slices"
	"strings"
	"testing"
)

// fixOf is the fix whose title begins so, of what is refused when a subject reads /data/f.
func fixOf(t *testing.T, s *Subject, w *Walk, title string) Fix {
	t.Helper()
	op := Operation{Op: OpRead}
	for _, f := range Fixes(s, w, op, Decide(s, w, op)) {
		if strings.HasPrefix(f.Title, title) {
			return f
		}
	}
	t.Fatalf("no fix %q", title)
	return Fix{}
}

// The user whose rootless podman it is has the commands of podman unshare, which is root over the user's ids alone.
func TestFixesOfARootlessUser(t *testing.T) {
	for name, c := range map[string]struct {
		facts func(s *Subject, w *Walk)
		want  string
	}{
		"root":                    {func(_ *Subject, w *Walk) { w.Host.UID = 0 }, "chown -h -- 100998 /srv/db/f"},
		"the user":                {func(_ *Subject, w *Walk) { w.Host.UID = 1000 }, "podman unshare chown -h -- 999 /srv/db/f"},
		"another user":            {func(_ *Subject, w *Walk) { w.Host.UID = 1001 }, "chown -h -- 100998 /srv/db/f"},
		"a file of somebody else": {func(_ *Subject, w *Walk) { w.Host.UID = 1000; file(w).UID = seen(1234) }, "chown -h -- 100998 /srv/db/f"},
		"another engine":          {func(s *Subject, w *Walk) { w.Host.UID = 1000; s.Container.Engine = "docker" }, "chown -h -- 100998 /srv/db/f"},
	} {
		s, w := rootlessSubject(), fixWalk()
		w.Host.InitialNS = true
		c.facts(s, w)
		if f := fixOf(t, s, w, "give /srv/db/f to uid 100998"); !slices.Equal(f.Commands, []string{c.want}) || !f.Proven {
			t.Errorf("%s: %+v", name, f)
		}
	}
}

// What is done to a tmpfs of the container's own is gone with it, and a fix says so.
func TestFixLastsUntilRestart(t *testing.T) {
	s, w := rootlessSubject(), fixWalk()
	n := file(w)
	super := *n.Mount.Super
	super.FSType, n.Host = "tmpfs", ""
	n.Mount.Super = &super
	f := fixOf(t, s, w, "let uid 100998")
	if !slices.Equal(f.Commands, []string{"setfacl -m u:100998:r -- /proc/17/root/data/f"}) || !strings.HasPrefix(f.How, "this lasts until the container is started anew: /data is a tmpfs") {
		t.Errorf("%+v", f)
	}
	n.Host = "/run/db/f" // a tmpfs of the host's
	if f := fixOf(t, s, w, "let uid 100998"); f.How != "" {
		t.Errorf("%+v", f)
	}
}
