package engine

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nsview/nsview/idmap"
	"github.com/nsview/nsview/nsinspect"
)

// onHost is a process of the host, inside one with a PID namespace and a mount namespace of its own.
func onHost(pid, ppid int, comm string) nsinspect.Process {
	return nsinspect.Process{
		PID: pid, PPID: ppid, PIDs: []int{pid}, Comm: comm, StartTime: uint64(100 + pid), Cgroup: "/",
		Namespaces: nsinspect.NamespaceSet{User: 1, PID: 2, Mnt: 3},
	}
}

func inside(pid, ppid, inner int, comm string) nsinspect.Process {
	p := onHost(pid, ppid, comm)
	p.PIDs = append(p.PIDs, inner)
	p.Namespaces.PID, p.Namespaces.Mnt = nsinspect.Inode(1000+ppid), nsinspect.Inode(2000+ppid)
	return p
}

func inCgroup(p nsinspect.Process, cgroup string) nsinspect.Process {
	p.Cgroup = cgroup
	return p
}

// identify runs one engine on what would have been read: the claims by ENGINE:ID.
func identify(e Engine, evidence *Evidence) map[string]nsinspect.Claim {
	evidence.sortFiles()
	claims := make(map[string]nsinspect.Claim)
	for _, c := range judge([]Engine{e}, evidence, func(*Found) bool { return true }) {
		claims[c.Engine+":"+c.ID] = c
	}
	return claims
}

func file(path, data string) File { return File{Path: path, Data: []byte(data)} }

// The configuration and the processes of LXC 5.0.2.
func TestLXCIdentify(t *testing.T) {
	e := &Evidence{
		Snapshot: &nsinspect.Snapshot{Processes: []nsinspect.Process{
			inCgroup(onHost(10, 1, "lxc-start"), "/lxc.monitor.db"),
			inCgroup(inside(11, 10, 1, "init"), "/lxc.payload.db"),
			inCgroup(inside(12, 11, 7, "mysqld"), "/lxc.payload.db"),
			onHost(20, 1, "lxc-start"), inside(21, 20, 1, "sleep"),
		}},
		Programs: []Program{
			{PID: 10, PPID: 1, Comm: "lxc-start", Args: []string{"[lxc monitor] /srv/my lxc db"}},
			{PID: 20, PPID: 1, Comm: "lxc-start", Args: []string{"lxc-start", "-Fs", "lxc.init.cmd=/bin/sleep 9", "web"}},
		},
		Files: []File{
			file("/etc/lxc/lxc.conf", "lxc.lxcpath = /srv/lxc\n"),
			file("/srv/lxc/old/config", "lxc.id_map = u 0 700000 10\nlxc.rootfs = /srv/lxc/old/rootfs\n"),
			file("/srv/lxc/web/config", ""),
			file("/srv/my lxc/db/config", `# comment
lxc.include = /srv/include.conf
lxc.include = /usr/share/lxc/config/common.conf.d/
lxc.uts.name = db
lxc.rootfs.path = dir:/srv/my lxc/db/rootfs
lxc.environment = PASSWORD=secret
lxc.idmap =
lxc.idmap = u 0 100000 65536
lxc.idmap = g 0 200000 65536
lxc.init.uid = 999
lxc.init.gid = 998
lxc.mount.entry = /srv/with\040blank /srv/my\040lxc/db/rootfs/var/lib/mysql none bind,ro,idmap=container 0 0
lxc.mount.entry = tmpfs tmp tmpfs defaults
`),
			file("/srv/include.conf", "lxc.idmap = b 0 1 1\n"),
			file("/usr/share/lxc/config/common.conf.d/00-lxcfs.conf", "lxc.mount.entry = /var/lib/lxcfs var/lib/lxcfs none bind,create=dir,optional\n"),
			file("/sys/fs/cgroup/freezer/lxc.payload.db/freezer.state", "FROZEN\n"),
		},
	}
	monitor := func(pid int) []nsinspect.ChainLink { return []nsinspect.ChainLink{link(pid, "lxc-start", "monitor")} }
	want := map[string]nsinspect.Claim{
		"lxc:srv/my lxc/db": {
			Engine: "lxc", ID: "srv/my lxc/db", Name: "db", InitPID: 11, StartTime: 111,
			EngineFacts: nsinspect.EngineFacts{
				State: "frozen", Evidence: "process", User: "999:998", Chain: monitor(10),
				UIDMap: idmap.Map{{Outside: 100000, Count: 65536}}, GIDMap: idmap.Map{{Outside: 200000, Count: 65536}},
				Mounts: []nsinspect.EngineMount{
					{Type: "bind", Source: "/var/lib/lxcfs", Destination: "/var/lib/lxcfs", Options: []string{"bind", "create=dir", "optional"}},
					{Type: "bind", Source: "/srv/with blank", Destination: "/var/lib/mysql", Options: []string{"bind", "ro", "idmap=container"}, ReadOnly: true},
					{Type: "tmpfs", Source: "tmpfs", Destination: "/tmp", Options: []string{"defaults"}},
				},
			},
		},
		"lxc:web": {
			Engine: "lxc", ID: "web", Name: "web", InitPID: 21, StartTime: 121,
			EngineFacts: nsinspect.EngineFacts{State: "running", Evidence: "process", Chain: monitor(20)},
		},
		"lxc:old": {
			Engine: "lxc", ID: "old", Name: "old",
			EngineFacts: nsinspect.EngineFacts{State: "stopped", Evidence: "state", UIDMap: idmap.Map{{Outside: 700000, Count: 10}}},
		},
	}
	if diff := cmp.Diff(want, identify(lxc(), e)); diff != "" {
		t.Error(diff)
	}
	var globs []string
	for _, p := range lxcFiles(e) {
		globs = append(globs, p.Glob)
	}
	for _, want := range []string{"/srv/lxc/*/config", "/srv/my lxc/*/config", "/srv/include.conf", "/usr/share/lxc/config/common.conf.d/*.conf", "/var/lib/lxd/logs/*/lxc.conf"} {
		if !slices.Contains(globs, want) {
			t.Errorf("%s is not asked for in %q", want, globs)
		}
	}
}

// What an ordinary user's monitor says has the uid in its ID, and is not completed by root's files.
func TestLXCOfAUser(t *testing.T) {
	e := &Evidence{
		Snapshot: &nsinspect.Snapshot{Processes: []nsinspect.Process{
			onHost(10, 1, "lxc-start"), inside(11, 10, 1, "sleep"), onHost(20, 1, "lxc-start"), inside(21, 20, 1, "sleep"),
		}},
		Programs: []Program{
			{PID: 10, PPID: 1, UID: 1000, Comm: "lxc-start", Args: []string{"[lxc monitor] /home/user/.local/share/lxc box"}},
			{PID: 20, PPID: 1, UID: 1000, Comm: "lxc-start", Args: []string{"[lxc monitor] /var/lib/lxc victim"}},
		},
		Users: []User{{UID: 1000, Name: "user", Home: "/home/user"}},
		Files: []File{
			{Path: "/home/user/.local/share/lxc/box/config", By: 1000, Data: []byte("lxc.idmap = u 0 165536 65536\n")},
			file("/var/lib/lxc/victim/config", "lxc.idmap = u 0 100000 65536\n"),
		},
	}
	claims := identify(lxc(), e)
	if c := claims["lxc:1000/box"]; c.InitPID != 11 || len(c.UIDMap) != 1 || c.Name != "box" {
		t.Errorf("the user's container is %+v", c)
	}
	if c := claims["lxc:victim"]; c.InitPID != 0 || c.State != "stopped" {
		t.Errorf("root's container is %+v", c)
	}
	if c := claims["lxc:1000/var/lib/lxc/victim"]; c.InitPID != 21 || c.UIDMap != nil {
		t.Errorf("the user's other container is %+v", c)
	}
	if len(claims) != 3 {
		t.Errorf("%d claims: %+v", len(claims), claims)
	}
}

// The monitors of LXD in a snap have the snap's root directory and are not read: cgroups tell.
func TestLXCByCgroup(t *testing.T) {
	e := &Evidence{
		Snapshot: &nsinspect.Snapshot{Processes: []nsinspect.Process{
			onHost(1, 0, "systemd"),
			inCgroup(onHost(10, 1, "lxd"), "/lxc.monitor.web"),
			inCgroup(inside(11, 10, 1, "systemd"), "/lxc.payload.web/init.scope"),
			inCgroup(inside(12, 11, 9, "nginx"), "/lxc.payload.web/system.slice/nginx.service"),
			// What a container makes below its own cgroup is nobody's name.
			inCgroup(inside(20, 1, 1, "sh"), "/docker/4711/lxc.payload.victim"),
			// A process of the host that was moved there is no container.
			inCgroup(onHost(30, 1, "sh"), "/lxc.payload.none"),
		}},
		Files: []File{file("/var/snap/lxd/common/lxd/logs/web/lxc.conf", "lxc.idmap = u 0 1000000 65536\n")},
	}
	want := map[string]nsinspect.Claim{"lxd:web": {
		Engine: "lxd", ID: "web", Name: "web", InitPID: 11, StartTime: 111,
		EngineFacts: nsinspect.EngineFacts{
			State: "running", Evidence: "cgroup", UIDMap: idmap.Map{{Outside: 1000000, Count: 65536}},
			Chain: []nsinspect.ChainLink{link(10, "lxd", "monitor")},
		},
	}}
	if diff := cmp.Diff(want, identify(lxc(), e)); diff != "" {
		t.Error(diff)
	}
}

// The records and processes of LXD 5.0.2; the maps and the root file system's device are as it wrote them.
func TestLXDIdentify(t *testing.T) {
	e := &Evidence{
		Snapshot: &nsinspect.Snapshot{Processes: []nsinspect.Process{
			onHost(5, 1, "lxd"), inCgroup(onHost(10, 1, "lxd"), "/lxc.monitor.shop_web"), inCgroup(inside(11, 10, 1, "init"), "/lxc.payload.shop_web"),
		}},
		Programs: []Program{
			{PID: 5, PPID: 1, Comm: "lxd", Args: []string{"lxd", "--group", "lxd"}},
			{PID: 6, PPID: 5, Comm: "lxd", Args: []string{"/usr/bin/lxd", "forkstart", "other", "/var/lib/lxd/containers", "lxc.conf"}},
			{PID: 10, PPID: 1, Comm: "lxd", Args: []string{"[lxc monitor] /var/lib/lxd/containers shop_web"}},
		},
		Files: []File{
			file("/var/lib/lxd/storage-pools/p/containers/shop_web/backup.yaml", lxdBackup),
			file("/var/lib/lxd/storage-pools/p/containers/halted/backup.yaml", "container:\n  expanded_config:\n    volatile.base_image: cbe7\n  name: halted\n"),
			file("/var/log/lxd/shop_web/lxc.conf", "lxc.mount.entry = /dev/fuse dev/fuse none bind 0 0\nlxc.idmap = u 0 296608 10000001\nlxc.idmap = g 0 362144 10000001\n"),
		},
	}
	want := map[string]nsinspect.Claim{
		"lxd:var/lib/lxd/containers/shop_web": {
			Engine: "lxd", ID: "var/lib/lxd/containers/shop_web", Name: "web", InitPID: 11, StartTime: 111,
			EngineFacts: nsinspect.EngineFacts{
				State: "running", Evidence: "process", Image: "it's busybox",
				UIDMap: idmap.Map{{Outside: 296608, Count: 10000001}}, GIDMap: idmap.Map{{Outside: 362144, Count: 10000001}},
				Mounts: []nsinspect.EngineMount{
					{Type: "bind", Source: "/srv/data", Destination: "/data", ReadOnly: true},
					{Type: "volume", Name: "vol", Source: "/var/lib/lxd/storage-pools/p/custom/shop_vol", Destination: "/vol"},
				},
				Chain: []nsinspect.ChainLink{link(5, "lxd", "daemon"), link(10, "lxd", "monitor")},
			},
		},
		"lxd:var/lib/lxd/containers/halted": {
			Engine: "lxd", ID: "var/lib/lxd/containers/halted", Name: "halted",
			EngineFacts: nsinspect.EngineFacts{State: "stopped", Evidence: "state", Image: "cbe7"},
		},
	}
	if diff := cmp.Diff(want, identify(lxc(), e)); diff != "" {
		t.Error(diff)
	}
	var record lxdRecord
	record.config = map[string]string{"volatile.idmap.next": `[{"Isuid":true,"Isgid":false,"Hostid":296608,"Nsid":0,"Maprange":7},{"Isuid":false,"Isgid":true,"Hostid":5,"Nsid":1,"Maprange":8}]`}
	uid, gid := record.maps()
	if diff := cmp.Diff([]idmap.Map{{{Outside: 296608, Count: 7}}, {{Inside: 1, Outside: 5, Count: 8}}}, []idmap.Map{uid, gid}); diff != "" {
		t.Error(diff)
	}
}

const lxdBackup = `container:
  architecture: x86_64
  config:
    image.description: it's busybox
    user.user-data: |
      container:
        name: victim
      expanded_devices:
        data:
          path: /etc
  devices:
    data:
      path: /data
      source: /srv/data
      type: disk
  expanded_config:
    environment.PASSWORD: secret
    image.description: 'it''s busybox'
    user.user-data: |
      name: victim
      expanded_devices:
        data:
          path: /etc
    volatile.base_image: cbe72c28cbd01709c863e7f3bf1fd8721b1eee6fd01fa28b0065e780cc4e8ed3
  expanded_devices:
    data:
      path: /data
      readonly: "true"
      source: /srv/data
      type: disk
    eth0:
      name: eth0
      type: nic
    root:
      path: /
      pool: p
      type: disk
    vol:
      path: /vol
      pool: p
      source: vol
      type: disk
  name: web
  status: Running
  type: container
  project: shop
pool:
  name: p
volume:
  name: web
`
