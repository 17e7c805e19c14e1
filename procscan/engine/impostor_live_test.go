package engine

import (
	"strings"
	"testing"

	"github.com/nsview/nsview/nsinspect"
	"github.com/nsview/nsview/procscan/engine/enginetest"
)

// A process in a container may call itself what it likes: with another root directory than the host's or in another PID
// namespace it is not believed, and an ordinary user's word is about containers of that user.
func TestLiveImpostors(t *testing.T) {
	const user = 42424
	dir := enginetest.Dir(t)
	elsewhere := map[string][]string{
		"another PID namespace":  {"unshare", "--pid", "--fork"},
		"another root directory": {"bwrap", "--ro-bind", dir, dir, "--dev", "/dev"},
	}
	for engine, tt := range map[string]struct {
		comm string
		args []string
	}{
		"lxc":    {"lxc-start", []string{"[lxc monitor] /var/lib/lxc nsview-test-victim"}},
		"lxd":    {"lxd", []string{"[lxc monitor] /var/lib/lxd/containers nsview-test-victim"}},
		"nspawn": {"systemd-nspawn", []string{"systemd-nspawn", "-M", "nsview-test-victim", "-D", "/srv/victim"}},
		"bwrap":  {"bwrap", []string{"bwrap", "--bind", "/nsview-test-victim", "/", "true"}},
	} {
		claimed := func(s *nsinspect.Snapshot) *nsinspect.Container {
			for i := range s.Containers {
				c := &s.Containers[i]
				if c.Engine == engine && (c.Name == "nsview-test-victim" || len(c.Mounts) > 0 && c.Mounts[0].Source == "/nsview-test-victim") {
					return c
				}
			}
			return nil
		}
		t.Run(engine, func(t *testing.T) {
			t.Run("on the host it is convincing", func(t *testing.T) {
				enginetest.Impostor(t, dir, 0, tt.comm, tt.args)
				if claimed(look(t)) == nil {
					t.Error("the others show nothing")
				}
			})
			for where, behind := range elsewhere {
				t.Run("in "+where, func(t *testing.T) {
					enginetest.Need(t, behind[0])
					enginetest.Impostor(t, dir, 0, tt.comm, tt.args, behind...)
					if c := claimed(look(t)); c != nil {
						t.Errorf("it is believed: %+v", c)
					}
				})
			}
			t.Run("as a user", func(t *testing.T) {
				pid := enginetest.Impostor(t, dir, user, tt.comm, tt.args)
				c := claimed(look(t))
				switch {
				case c == nil:
					t.Error("a user may have containers")
				case c.Chain[len(c.Chain)-1].PID != pid || engine != "bwrap" && !strings.HasPrefix(c.ID, itoa(user)+"/"):
					t.Errorf("the container is %+v", c)
				}
			})
		})
	}
}
