package doctor

import (
	"slices"
	"testing"

	"github.com/nsview/nsview/idmap"
	"github.com/nsview/nsview/nsinspect"
	"github.com/nsview/nsview/nsinspect/access"
)

// Inodes of the host and of a container's user namespace in the hand-made snapshots of these tests.
const (
	hostUser nsinspect.Inode = 4026531837
	hostMnt  nsinspect.Inode = 4026531832
	ownUser  nsinspect.Inode = 4026532300
	ownMnt   nsinspect.Inode = 4026532301
)

// shifted is the map of a container of user alice, whose range begins at 100000.
func shifted() idmap.Map { return idmap.Map{{Inside: 0, Outside: 100000, Count: 65536}} }

// host is a healthy host: docker:web runs as root in the host's user namespace with what docker gives it, and has a
// volume at /data, which root owns.
func host() *Facts {
	s := &nsinspect.Snapshot{
		Observer: nsinspect.Observer{
			PID: 900, UserNS: hostUser, MntNS: hostMnt, InitialNS: true, IDMaps: 0, MountTable: 0, Names: 0,
			Namespaces: nsinspect.NamespaceSet{User: hostUser, Mnt: hostMnt},
		},
		IDMaps: []nsinspect.IDMaps{
			{UserNS: hostUser, UID: idmap.Identity(), GID: idmap.Identity(), Setgroups: "allow"},
			{UserNS: ownUser, UID: shifted(), GID: shifted(), Setgroups: "allow"},
		},
		MountTables: []nsinspect.MountTable{
			{MntNS: hostMnt, Root: "/", Mounts: []nsinspect.Mount{{ID: 1, Dev: "8:1", Root: "/", Point: "/", FSType: "ext4"}}},
			{MntNS: ownMnt, Root: "/", Mounts: []nsinspect.Mount{
				{ID: 2, Dev: "0:50", Root: "/", Point: "/", FSType: "overlay"},
				{ID: 3, Dev: "0:51", Root: "/", Point: "/proc", FSType: "proc"},
				{ID: 4, Dev: "8:1", Root: "/srv/data", Point: "/data", FSType: "ext4"},
				{ID: 5, Dev: "8:1", Root: "/var/lib/docker/containers/x/hosts", Point: "/etc/hosts", FSType: "ext4"},
			}},
		},
		Names: []nsinspect.NameTable{
			{Users: map[idmap.Inside]string{0: "root", 1000: "khope", 1001: "alice"}, Groups: map[idmap.Inside]string{0: "root", 3000: "media"}},
			{Users: map[idmap.Inside]string{0: "root", 999: "mysql"}, Groups: map[idmap.Inside]string{0: "root"}},
		},
		Processes: []nsinspect.Process{
			{PID: 50, Comm: "mysqld", State: "S", Container: 0, MountTable: 1, Names: 1, Namespaces: nsinspect.NamespaceSet{User: hostUser, Mnt: ownMnt}, Cred: cred(0)},
			{PID: 900, Comm: "nsview", State: "S", Container: -1, Namespaces: nsinspect.NamespaceSet{User: hostUser, Mnt: hostMnt}, Cred: cred(0)},
		},
		Containers: []nsinspect.Container{{
			Engine: "docker", ID: "abc", Name: "web", InitPID: 50, Processes: 1, IDMaps: 0, MountTable: 1, Names: 1,
			Namespaces: nsinspect.NamespaceSet{User: hostUser, Mnt: ownMnt},
		}},
	}
	return &Facts{Snapshot: s, Containers: []int{0}, Host: true, SubUID: idmap.SubIDs{{Owner: "alice", Grant: idmap.Grant{First: 100000, Count: 65536}}}}
}

// inOwnUserNS puts docker:web into a user namespace that alice made.
func inOwnUserNS(f *Facts) {
	s := f.Snapshot
	s.Namespaces = append(s.Namespaces, nsinspect.Namespace{Type: nsinspect.User, Inode: ownUser, Parent: hostUser, OwnerUID: 1001, IDMaps: 1})
	s.Containers[0].Namespaces.User, s.Containers[0].IDMaps = ownUser, 1
	s.Processes[0].Namespaces.User, s.Processes[0].IDMaps, s.Processes[0].Cred = ownUser, 1, cred(100000)
}

func cred(uid idmap.Kernel) nsinspect.Credentials {
	ids := nsinspect.IDs{Real: uid, Effective: uid, Saved: uid, FS: uid}
	return nsinspect.Credentials{UID: ids, GID: ids, Groups: []idmap.Kernel{}}
}

// answer is how /data resolves for the first process of docker:web: a directory of that owner.
func answer(f *Facts, owner idmap.Kernel, mode uint32) *Answer {
	p := &f.Snapshot.Processes[0]
	super := &access.Super{Dev: "8:1", FSType: "ext4", UserNS: hostUser}
	id := func(k idmap.Kernel) access.ID { return access.ID{OnDisk: idmap.Disk(k), Seen: k, Known: true} }
	root := &access.Node{Path: "/", Type: access.Directory, Mode: 0o755, UID: id(0), GID: id(0), Mount: &access.Mount{ID: 2, Point: "/", Super: super}}
	data := &access.Node{Path: "/data", Type: access.Directory, Mode: mode, UID: id(owner), GID: id(owner), Mount: &access.Mount{ID: 4, Point: "/data", Super: super}}
	userNS := map[nsinspect.Inode]*access.UserNS{
		hostUser: {Inode: hostUser, UID: idmap.Identity(), GID: idmap.Identity(), Initial: true},
		ownUser:  {Inode: ownUser, Parent: hostUser, Owner: 1001, UID: shifted(), GID: shifted()},
	}
	f.Answers = append(f.Answers, Answer{
		Container: 0, Path: "/data", Primary: true,
		Subject: &access.Subject{
			Target: "docker:web", PID: p.PID, Cred: p.Cred, UserNS: p.Namespaces.User, MntNS: ownMnt,
			Names: &f.Snapshot.Names[1], Container: &f.Snapshot.Containers[0],
		},
		Walk: &access.Walk{
			Host: &access.Host{Kernel: access.Kernel{Major: 6, Minor: 18}, UserNS: userNS, InitialNS: true}, Path: "/data", Start: root,
			Steps: []access.Lookup{{Dir: root, Name: "data", Found: data, Trailing: true}},
		},
	})
	return &f.Answers[len(f.Answers)-1]
}

// want checks which findings there are: "ID severity path" each.
func want(t *testing.T, f *Facts, id ID, findings ...string) []Finding {
	t.Helper()
	list, _ := Judge(f)
	return check(t, list, id, findings)
}

func check(t *testing.T, list []Finding, id ID, findings []string) []Finding {
	t.Helper()
	var got []string
	var of []Finding
	for _, finding := range list {
		if finding.ID == id {
			of = append(of, finding)
			got = append(got, string(finding.Severity)+" "+finding.Target+" "+finding.Path)
		}
		if finding.Evidence == "" || finding.Meaning == "" || finding.Fixes == nil || finding.Severity.rank() < 0 {
			t.Errorf("not whole: %+v", finding)
		}
	}
	if !slices.Equal(got, findings) {
		t.Errorf("%s: got %q, want %q", id, got, findings)
	}
	return of
}
