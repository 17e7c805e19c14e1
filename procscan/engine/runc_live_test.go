package engine

import (
	"encoding/json"
	"testing"

	"github.com/nsview/nsview/procscan/engine/enginetest"
)

func TestLiveRunc(t *testing.T) { testLiveRuntime(t, "runc", nil) }
func TestLiveCrun(t *testing.T) { testLiveRuntime(t, "crun", nil) }

func TestLiveRuncRootless(t *testing.T) {
	testLiveRuntime(t, "runc", enginetest.NewUser(t).LoggedIn(t))
}

// testLiveRuntime makes a container that runs, one that waits to be started and one that has ended.
func testLiveRuntime(t *testing.T, name string, user *enginetest.User) {
	r := enginetest.StartRuntime(t, name, user)
	bundle := r.Bundle(func(config map[string]any) {
		config["annotations"] = map[string]string{"a": "b"}
		if user != nil {
			return // runc spec --rootless maps the user to root
		}
		config["process"].(map[string]any)["user"] = map[string]int{"uid": 1000, "gid": 1000}
		linux := config["linux"].(map[string]any)
		linux["namespaces"] = append(linux["namespaces"].([]any), map[string]string{"type": "user"})
		ids := []map[string]int{{"containerID": 0, "hostID": 300000, "size": 65536}}
		linux["uidMappings"], linux["gidMappings"] = ids, ids
		config["mounts"] = append(config["mounts"].([]any),
			map[string]any{"destination": "/data", "type": "bind", "source": "/usr/share", "options": []string{"bind", "ro"}})
	})
	r.Make([]string{"run", "-d"}, "nsview-test-up", bundle)
	r.Make([]string{"create"}, "nsview-test-made", bundle)
	r.Make([]string{"run", "-d"}, "nsview-test-gone", bundle)
	r.Run("kill", "nsview-test-gone", "KILL")
	state := func(id string) (state struct {
		Status string
		Pid    int
	},
	) {
		if err := json.Unmarshal([]byte(r.Run("state", id)), &state); err != nil {
			t.Fatal(err)
		}
		return state
	}
	enginetest.Eventually(t, "the end of nsview-test-gone", func() bool { return state("nsview-test-gone").Status == "stopped" })

	s := look(t)
	for _, id := range []string{"nsview-test-up", "nsview-test-made", "nsview-test-gone"} {
		c, want := container(t, s, name+":"+id), state(id)
		if c.State != want.Status || c.InitPID != want.Pid || c.Runtime != name || c.Bundle != bundle || c.Labels["a"] != "b" || c.Evidence != "state" {
			t.Errorf("%s is %+v, %s says %+v", id, c, name, want)
		}
		if maps := s.Maps(c.IDMaps); c.Running() && (len(c.UIDMap) == 0 || !c.UIDMap.Equal(maps.UID) || !c.GIDMap.Equal(maps.GID)) {
			t.Errorf("%s: the configured maps are %v and %v, the kernel says %+v", id, c.UIDMap, c.GIDMap, maps)
		}
		if user != nil {
			continue
		}
		if c.User != "1000:1000" || len(c.Mounts) != 1 || c.Mounts[0].Source != "/usr/share" || !c.Mounts[0].ReadOnly {
			t.Errorf("%s is configured as %+v", id, c.EngineFacts)
		}
	}
	if c := container(t, s, name+":nsview-test-up"); s.Process(c.InitPID).Comm != "sleep" || c.Processes != 1 {
		t.Errorf("%d processes, the first is %s", c.Processes, s.Process(c.InitPID).Comm)
	}
}
