package access

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nsview/nsview/idmap"
	"github.com/nsview/nsview/nsinspect"
)

const rootlessNS nsinspect.Inode = 3

// shown are the fixes of a denial, each as lines: "proven" or "doubtful", with "restart", the title, what it runs, how.
func shown(t *testing.T, s *Subject, w *Walk, words string) []string {
	t.Helper()
	op := mustParse(t, words)
	v := Decide(s, w, op)
	if v.Verdict != Deny {
		t.Fatalf("%s: %s by %s (%s), want a denial to fix", words, v.Verdict, v.Rule, v.Missing)
	}
	var list []string
	for _, f := range Fixes(s, w, op, v) {
		state := "proven"
		if !f.Proven {
			state = "doubtful"
		}
		if f.Restart {
			state += " restart"
		}
		lines := append([]string{state + ": " + f.Title}, f.Commands...)
		if f.How != "" {
			lines = append(lines, "how: "+f.How)
		}
		if f.Opens == "" {
			t.Errorf("%s: %s: does not say what it opens", words, f.Title)
		}
		list = append(list, strings.Join(lines, "\n"))
	}
	return list
}

// plainSubject is a process of the host, uid 999 with no other group than its own.
func plainSubject() *Subject {
	ids := nsinspect.IDs{Real: 999, Effective: 999, Saved: 999, FS: 999}
	return &Subject{Target: "17", PID: 17, UserNS: initialNS, Cred: nsinspect.Credentials{UID: ids, GID: ids}}
}

// containerRoot is root of container db, which has every capability there.
func containerRoot() *Subject {
	s := explainSubject()
	ids := nsinspect.IDs{Real: 100000, Effective: 100000, Saved: 100000, FS: 100000}
	s.PID, s.Cred = 17, nsinspect.Credentials{UID: ids, GID: ids, CapEff: 1<<41 - 1, CapPrm: 1<<41 - 1, CapBnd: 1<<41 - 1}
	return s
}

// fixWalk leads to /data/f, a file of uid and gid 1000 with mode 0640 in a directory that everyone may search. /data is
// /srv/db on the host.
func fixWalk() *Walk {
	w := explainWalk()
	rootless := idmap.Map{{Inside: 0, Outside: 1000, Count: 1}, {Inside: 1, Outside: 100000, Count: 65536}}
	w.Host.UserNS[rootlessNS] = &UserNS{Inode: rootlessNS, Parent: initialNS, Owner: 1000, UID: rootless, GID: rootless}
	w.Host.ProtectedHardlinks, w.Host.ProtectedRegular, w.Host.ProtectedSymlinks = 1, 1, 1
	for i := range w.Steps {
		l := &w.Steps[i]
		l.Dir.Mode, l.Dir.UID, l.Dir.GID = 0o755, seen(0), seen(0)
		l.Dir.Inode, l.Found.Inode = uint64(i+1), uint64(i+2)
		for _, n := range []*Node{l.Dir, l.Found} {
			n.Immutable, n.Append, n.Busy, n.Empty, n.Dev = No, No, No, Yes, "8:1"
		}
	}
	root := *w.Start.Mount
	root.Point, root.ID, w.Start.Mount.ID = "/", 1, 2
	w.Start.Mount = &root
	f := file(w)
	f.Mode, f.UID, f.GID = 0o640, seen(1000), seen(1000)
	return w
}

// rootlessSubject is uid 999 of a container that uid 1000 started with rootless podman: 0 inside is that user.
func rootlessSubject() *Subject {
	s := explainSubject()
	ids := nsinspect.IDs{Real: 100998, Effective: 100998, Saved: 100998, FS: 100998}
	s.PID, s.UserNS, s.Cred = 17, rootlessNS, nsinspect.Credentials{UID: ids, GID: ids}
	s.Container = &nsinspect.Container{Engine: "podman", ID: "1", Name: "db"}
	s.Container.Mounts = []nsinspect.EngineMount{{Type: "bind", Source: "/srv/db", Destination: "/data"}}
	return s
}

// podmanRoot is root of a container of rootful podman with a volume.
func podmanRoot(volume nsinspect.EngineMount) func() *Subject {
	return func() *Subject {
		s := containerRoot()
		s.Container.Engine = "podman"
		s.Container.Mounts = []nsinspect.EngineMount{volume}
		return s
	}
}

// podSubject is uid 999 of a pod with a volume from source.
func podSubject(source string) func() *Subject {
	return func() *Subject {
		s := plainSubject()
		s.Container = &nsinspect.Container{Engine: "containerd", ID: "1", Name: "db"}
		s.Container.Pod = &nsinspect.Pod{Name: "db-0", Namespace: "shop"}
		s.Container.Mounts = []nsinspect.EngineMount{{Type: "bind", Source: source, Destination: "/data"}}
		return s
	}
}

func TestFixes(t *testing.T) {
	tests := []struct {
		name, op string
		subject  func() *Subject
		facts    func(*Subject, *Walk)
		want     []string
	}{
		{
			name: "a user of the host reads: an entry, its group, the owner", op: "read", subject: plainSubject,
			want: []string{
				"proven: let uid 999 read /srv/db/f\nsetfacl -m u:999:r -- /srv/db/f",
				"proven: give /srv/db/f to gid 999 and let its members read it\nchgrp -h -- 999 /srv/db/f",
				"proven: give /srv/db/f to uid 999\nchown -h -- 999 /srv/db/f",
				"proven restart: start it as a member of gid 1000\nhow: have it started by setpriv --groups 1000",
				"proven restart: start it as uid 1000\nhow: have it started by setpriv --reuid 1000 --regid 1000 --clear-groups",
				"proven: let everyone on the host and in every container read /srv/db/f\nchmod o+r -- /srv/db/f",
			},
		},
		{
			name: "writing: nothing is opened to everyone, and no x is given", op: "write", subject: plainSubject,
			want: []string{
				"proven: let uid 999 write /srv/db/f\nsetfacl -m u:999:w -- /srv/db/f",
				"proven: give /srv/db/f to gid 999 and let its members read and write it\nchgrp -h -- 999 /srv/db/f\nchmod g+w -- /srv/db/f",
				"proven: give /srv/db/f to uid 999\nchown -h -- 999 /srv/db/f",
				"proven restart: start it as uid 1000\nhow: have it started by setpriv --reuid 1000 --regid 1000 --clear-groups",
			},
		},
		{
			name: "the owner's own bits first", op: "read", subject: plainSubject,
			facts: func(_ *Subject, w *Walk) { file(w).UID, file(w).Mode = seen(999), 0o040 },
			want: []string{
				"proven: let its owner read /srv/db/f\nchmod u+r -- /srv/db/f",
			},
		},
		{
			name: "the new owner gets the bit that is missing, and no more", op: "write", subject: plainSubject,
			facts: func(_ *Subject, w *Walk) { file(w).Mode = 0o440 },
			want: []string{
				"proven: let uid 999 write /srv/db/f\nsetfacl -m u:999:w -- /srv/db/f",
				"proven: give /srv/db/f to gid 999 and let its members read and write it\nchgrp -h -- 999 /srv/db/f\nchmod g+w -- /srv/db/f",
				"proven: give /srv/db/f to uid 999\nchown -h -- 999 /srv/db/f\nchmod u+w -- /srv/db/f",
			},
		},
		{
			name: "a mask that refuses", op: "read", subject: plainSubject,
			facts: func(_ *Subject, w *Walk) {
				file(w).ACL = &ACL{[]ACLEntry{{Tag: ACLUserObj, Perm: 6}, {Tag: ACLUser, ID: 999, Perm: 4}, {Tag: ACLGroupObj, Perm: 4}, {Tag: ACLMask, Perm: 1}, {Tag: ACLOther}}}
				file(w).Mode = 0o610
			},
			want: []string{
				"proven: let uid 999 read /srv/db/f\nsetfacl -m u:999:r,m::rx -- /srv/db/f",
				"proven: let every user and group in its ACL, up to rx, read /srv/db/f\nsetfacl -m m::rx -- /srv/db/f",
				"proven: give /srv/db/f to uid 999\nchown -h -- 999 /srv/db/f",
				"proven restart: start it as uid 1000\nhow: have it started by setpriv --reuid 1000 --regid 1000 --clear-groups",
			},
		},
		{
			name: "two directories that may not be searched are one fix", op: "lookup", subject: plainSubject,
			facts: func(_ *Subject, w *Walk) {
				w.Steps[1].Dir.Mode = 0o700
				w.Steps[0].Dir.Mode, w.Steps[0].Dir.Host = 0o700, "/srv"
			},
			want: []string{
				"proven: let uid 999 search /srv, and let uid 999 search /srv/db\nsetfacl -m u:999:x -- /srv\nsetfacl -m u:999:x -- /srv/db",
				"proven: let everyone on the host and in every container search /srv, and let everyone on the host and in every container search /srv/db\nchmod o+x -- /srv\nchmod o+x -- /srv/db",
			},
		},
		{
			name: "only the owner may", op: "chmod 0600", subject: plainSubject,
			want: []string{
				"proven: give /srv/db/f to uid 999\nchown -h -- 999 /srv/db/f",
				"proven restart: start it as uid 1000\nhow: have it started by setpriv --reuid 1000 --regid 1000 --clear-groups",
			},
		},
		{
			name: "noexec is lifted by its name, what else is set stays", op: "exec", subject: plainSubject,
			facts: func(_ *Subject, w *Walk) {
				file(w).Mode = 0o755
				file(w).Exec = &Exec{}
				file(w).Mount.NoExec, file(w).Mount.NoSUID, file(w).Mount.ReadOnly = true, true, true
			},
			want: []string{"proven: make the mount on /data allow programs\nmount -N 17 -o remount,bind,ro,exec,nosuid -- /data"},
		},
		{
			name: "a read-only mount of a container that docker runs", op: "write", subject: containerRoot,
			facts: func(s *Subject, w *Walk) {
				file(w).Mount.ReadOnly, file(w).Mount.NoDev = true, true
				file(w).UID, file(w).GID = seen(100000), seen(100000)
				s.Container.Mounts = []nsinspect.EngineMount{{Type: "bind", Source: "/srv/db", Destination: "/data", ReadOnly: true}}
			},
			want: []string{
				"proven: make the mount on /data writable\nmount -N 17 -o remount,bind,rw,nodev -- /data",
				"proven restart: mount /data writable (no :ro)\nhow: have it mounted with -v /srv/db:/data by the docker run that makes it",
			},
		},
		{
			name: "a flag that the kernel may have locked", op: "write", subject: containerRoot,
			facts: func(_ *Subject, w *Walk) {
				file(w).Mount.ReadOnly, file(w).Mount.Locked = true, []string{"ro"}
				file(w).UID, file(w).GID = seen(100000), seen(100000)
			},
			want: []string{
				"doubtful: make the mount on /data writable, unless it came with that flag from the host, where the kernel locks it\nmount -N 17 -o remount,bind,rw -- /data",
				"doubtful restart: make the mount that /data comes from writable on the host\nhow: mount -o remount,bind,rw on the host's mount of it, and start the container anew: a flag that was set before the mount namespace was made is locked in it",
			},
		},
		{
			name: "immutable", op: "unlink", subject: plainSubject,
			facts: func(_ *Subject, w *Walk) { w.Steps[1].Dir.UID, file(w).Immutable = seen(999), Yes },
			want:  []string{"proven: let /srv/db/f be changed: it is immutable\nchattr -i -- /srv/db/f"},
		},
		{
			name: "a sysctl is said to be the host's, and comes last", op: "opencreat", subject: plainSubject,
			facts: func(_ *Subject, w *Walk) { w.Steps[1].Dir.Mode, file(w).Mode = 0o1777, 0o666 },
			want: []string{
				"proven: give /srv/db/f to uid 999\nchown -h -- 999 /srv/db/f",
				"proven restart: start it as uid 1000\nhow: have it started by setpriv --reuid 1000 --regid 1000 --clear-groups",
				"proven: take the sticky bit off /srv/db\nchmod -t -- /srv/db",
				"proven: turn fs.protected_regular off for the whole host, until it is booted anew\nsysctl -w fs.protected_regular=0",
			},
		},
		{
			name: "a container's root and a file that it has no id for", op: "write", subject: containerRoot,
			facts: func(s *Subject, _ *Walk) {
				s.Container.Mounts = []nsinspect.EngineMount{{Type: "bind", Source: "/srv/db", Destination: "/data"}}
			},
			want: []string{
				"proven: let uid 100000 (0 inside) write /srv/db/f\nsetfacl -m u:100000:w -- /srv/db/f",
				"proven: give /srv/db/f to gid 100000 (0 inside) and let its members read and write it\nchgrp -h -- 100000 /srv/db/f\nchmod g+w -- /srv/db/f",
				"proven: give /srv/db/f to uid 100000 (0 inside)\nchown -h -- 100000 /srv/db/f",
				"proven restart: mount /data with the container's id map\nmkdir -- /srv/db.idmapped\nmount --bind --map-users 0:100000:65536 --map-groups 0:100000:65536 -- /srv/db /srv/db.idmapped\nhow: with mount(8) of util-linux 2.39 or later; then make the container anew with /srv/db.idmapped in place of /srv/db",
			},
		},
		{
			name: "what the engine mounts by itself is no volume to map", op: "write", subject: containerRoot,
			facts: func(_ *Subject, w *Walk) { file(w).NoACL = true },
			want: []string{
				"proven: give /srv/db/f to gid 100000 (0 inside) and let its members read and write it\nchgrp -h -- 100000 /srv/db/f\nchmod g+w -- /srv/db/f",
				"proven: give /srv/db/f to uid 100000 (0 inside)\nchown -h -- 100000 /srv/db/f",
			},
		},
		{
			name: "an owner that the idmapped mount leaves out", op: "chmod 0600", subject: containerRoot,
			facts: func(s *Subject, w *Walk) {
				m := file(w).Mount
				m.Idmapped, m.MapKnown = true, true
				m.UIDMap = idmap.MountMap{{OnDisk: 0, SeenAs: 100000, Count: 1}}
				m.GIDMap = m.UIDMap
				for _, n := range []*Node{w.Steps[1].Dir, file(w)} {
					remapped(w.Host, n, m.UIDMap, m.GIDMap)
				}
				s.Container.Engine = "podman"
				s.Container.Mounts = []nsinspect.EngineMount{{Type: "bind", Source: "/srv/db", Destination: "/data"}}
			},
			want: []string{
				"proven: give /srv/db/f to uid 100000 (0 inside) and gid 100000 (0 inside)\nchown -h -- 0:0 /srv/db/f",
			},
		},
		{
			name: "root without its capability", op: "read", subject: func() *Subject {
				s := plainSubject()
				s.Cred = nsinspect.Credentials{}
				s.Container = &nsinspect.Container{Engine: "docker", ID: "1", Name: "web", EngineFacts: nsinspect.EngineFacts{
					Labels: map[string]string{"com.docker.compose.project": "shop", "com.docker.compose.service": "web"},
				}}
				return s
			},
			want: []string{
				"proven: let uid 0 read /srv/db/f\nsetfacl -m u:0:r -- /srv/db/f",
				"proven: give /srv/db/f to gid 0 and let its members read it\nchgrp -h -- 0 /srv/db/f",
				"proven: give /srv/db/f to uid 0\nchown -h -- 0 /srv/db/f",
				"proven restart: start it as a member of gid 1000\nhow: give service web of the compose project shop: group_add: [\"1000\"], and run compose up -d again",
				"proven restart: start it as uid 1000\nhow: give service web of the compose project shop: user: \"1000:1000\", and run compose up -d again",
				"proven: let everyone on the host and in every container read /srv/db/f\nchmod o+r -- /srv/db/f",
				"proven restart: start it with CAP_DAC_READ_SEARCH\nhow: give service web of the compose project shop: cap_add: [\"DAC_READ_SEARCH\"], and run compose up -d again",
			},
		},
		{
			name: "rootless podman: the volume given to the subject, the user kept", op: "write", subject: rootlessSubject,
			want: []string{
				"proven: let uid 100998 (999 inside) write /srv/db/f\nsetfacl -m u:100998:w -- /srv/db/f",
				"proven: give /srv/db/f to gid 100998 (999 inside) and let its members read and write it\nchgrp -h -- 100998 /srv/db/f\nchmod g+w -- /srv/db/f",
				"proven: give /srv/db/f to uid 100998 (999 inside)\nchown -h -- 100998 /srv/db/f",
				"proven restart: map uid 1000, who started podman, to 999 inside\nhow: add to the options of the podman run that made it: --userns=keep-id:uid=999,gid=999",
				"proven restart: have podman give all of the volume at /data to uid 100998 (999 inside)\nhow: have it mounted with -v /srv/db:/data:U by the podman run that makes it",
			},
		},
		{
			name: "rootless podman: a group of the user that has no number inside", op: "read", subject: rootlessSubject,
			facts: func(_ *Subject, w *Walk) { file(w).NoACL, file(w).UID, file(w).GID = true, seen(0), seen(44) },
			want: []string{
				"proven: give /srv/db/f to gid 100998 (999 inside) and let its members read it\nchgrp -h -- 100998 /srv/db/f",
				"proven: give /srv/db/f to uid 100998 (999 inside)\nchown -h -- 100998 /srv/db/f",
				"proven: let everyone on the host and in every container read /srv/db/f\nchmod o+r -- /srv/db/f",
				"doubtful restart: start it with the groups of uid 1000, if that is a member of gid 44\nhow: add to the options of the podman run that made it: --group-add keep-groups (with the runtime crun)",
			},
		},
		{
			name: "rootful podman maps the ids of a volume itself", op: "write",
			subject: podmanRoot(nsinspect.EngineMount{Type: "volume", Name: "data", Source: "/var/lib/containers/storage/volumes/data/_data", Destination: "/data"}),
			facts:   func(_ *Subject, w *Walk) { file(w).NoACL = true },
			want: []string{
				"proven: give /srv/db/f to gid 100000 (0 inside) and let its members read and write it\nchgrp -h -- 100000 /srv/db/f\nchmod g+w -- /srv/db/f",
				"proven: give /srv/db/f to uid 100000 (0 inside)\nchown -h -- 100000 /srv/db/f",
				"proven restart: mount /data with the container's id map\nhow: have it mounted with -v data:/data:idmap by the podman run that makes it, with --runtime crun: runc before 1.2 ignores idmap without a word",
				"proven restart: have podman give all of the volume at /data to uid 100000 (0 inside)\nhow: have it mounted with -v data:/data:U by the podman run that makes it",
			},
		},
		{
			name: "a pod and a volume that the kubelet made", op: "write", subject: podSubject("/var/lib/kubelet/pods/u/volumes/kubernetes.io~csi/pvc/mount"),
			facts: func(_ *Subject, w *Walk) { file(w).NoACL = true },
			want: []string{
				"proven: give /srv/db/f to gid 999 and let its members read and write it\nchgrp -h -- 999 /srv/db/f\nchmod g+w -- /srv/db/f",
				"proven: give /srv/db/f to uid 999\nchown -h -- 999 /srv/db/f",
				"proven restart: start it as uid 1000\nhow: set in the securityContext of pod shop/db-0: runAsUser: 1000, runAsGroup: 1000",
				"proven restart: have the kubelet give the volume at /data to group 999\nhow: set in the securityContext of pod shop/db-0: fsGroup: 999",
			},
		},
		{
			name: "a pod and a directory of the node, which the kubelet leaves alone", op: "write", subject: podSubject("/srv/db"),
			facts: func(_ *Subject, w *Walk) { file(w).NoACL, file(w).Mode = true, 0o660 },
			want: []string{
				"proven: give /srv/db/f to gid 999 and let its members read and write it\nchgrp -h -- 999 /srv/db/f",
				"proven: give /srv/db/f to uid 999\nchown -h -- 999 /srv/db/f",
				"proven restart: start it as a member of gid 1000\nhow: set in the securityContext of pod shop/db-0: supplementalGroups: [1000]",
				"proven restart: start it as uid 1000\nhow: set in the securityContext of pod shop/db-0: runAsUser: 1000, runAsGroup: 1000",
			},
		},
		{
			name: "an idmapped mount that has no id for the subject's files", op: "chmod 0600",
			subject: podmanRoot(nsinspect.EngineMount{Type: "bind", Source: "/srv/db", Destination: "/data"}),
			facts: func(_ *Subject, w *Walk) {
				m := file(w).Mount
				m.Idmapped, m.MapKnown = true, true
				m.UIDMap = idmap.MountMap{{OnDisk: 0, SeenAs: 100999, Count: 1}}
				m.GIDMap = m.UIDMap
				for _, n := range []*Node{w.Steps[1].Dir, file(w)} {
					remapped(w.Host, n, m.UIDMap, m.GIDMap)
				}
			},
			want: []string{
				"proven restart: mount /data with an id map that has its owner and group too\nhow: have it mounted with -v '/srv/db:/data:idmap=uids=0-100999-1#1000-100000-1;gids=0-100999-1#1000-100000-1' by the podman run that makes it",
			},
		},
		{name: "nothing helps where there is nothing", op: "rmdir", subject: plainSubject, facts: func(_ *Subject, w *Walk) { w.Steps[1].Dir.UID = seen(999) }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s, w := tt.subject(), fixWalk()
			if tt.facts != nil {
				tt.facts(s, w)
			}
			if diff := cmp.Diff(tt.want, shown(t, s, w, tt.op)); diff != "" {
				t.Error(diff)
			}
		})
	}
}
