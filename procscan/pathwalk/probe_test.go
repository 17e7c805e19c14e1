package pathwalk

import (
	"errors"
	"io/fs"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/nsview/nsview/idmap"
	"github.com/nsview/nsview/nsinspect/access"
	"golang.org/x/sys/unix"
)

func TestParseACL(t *testing.T) {
	value := []byte{
		2, 0, 0, 0,
		1, 0, 7, 0, 255, 255, 255, 255,
		2, 0, 4, 0, 232, 3, 0, 0,
		4, 0, 5, 0, 255, 255, 255, 255,
		16, 0, 6, 0, 255, 255, 255, 255,
		32, 0, 0, 0, 255, 255, 255, 255,
	}
	got, err := parseACL(value)
	if err != nil {
		t.Fatal(err)
	}
	want := &access.ACL{Entries: []access.ACLEntry{
		{Tag: access.ACLUserObj, ID: idmap.UnmappedKernel, Perm: 7},
		{Tag: access.ACLUser, ID: 1000, Perm: 4},
		{Tag: access.ACLGroupObj, ID: idmap.UnmappedKernel, Perm: 5},
		{Tag: access.ACLMask, ID: idmap.UnmappedKernel, Perm: 6},
		{Tag: access.ACLOther, ID: idmap.UnmappedKernel},
	}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	for _, bad := range [][]byte{nil, {2, 0, 0}, {3, 0, 0, 0}, value[:9], {2, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0}} {
		if a, err := parseACL(bad); err == nil {
			t.Errorf("%v: read as %v", bad, a)
		}
	}
}

func FuzzParseACL(f *testing.F) {
	f.Add([]byte{2, 0, 0, 0, 1, 0, 7, 0, 255, 255, 255, 255})
	f.Fuzz(func(t *testing.T, b []byte) {
		if a, err := parseACL(b); err == nil && len(a.Entries) != (len(b)-4)/8 {
			t.Errorf("%v: %d entries", b, len(a.Entries))
		}
	})
}

func TestAccounts(t *testing.T) {
	a := accounts{
		passwd: "root:x:0:0::/:/bin/sh\nmysql:x:999:998::/:/bin/false\nbroken\nbig:x:4294967296:1::/:\n",
		group:  "root:x:0:\nmysql:x:998:\ndata:x:50:mysql,other\n",
	}
	for _, c := range []struct {
		user, group string
		named       bool
		uid, gid    idmap.Inside
		groups      []idmap.Inside
	}{
		{"mysql", "", false, 999, 998, []idmap.Inside{50}},
		{"999", "", false, 999, 998, []idmap.Inside{50}},
		{"mysql", "data", true, 999, 50, nil},
		{"4242", "", false, 4242, 0, nil},
		{"4242", "7", true, 4242, 7, nil},
	} {
		uid, gid, groups, err := a.find(c.user, c.group, c.named)
		if err != nil || uid != c.uid || gid != c.gid || !cmp.Equal(groups, c.groups) {
			t.Errorf("%s:%s: %v:%v %v, %v", c.user, c.group, uid, gid, groups, err)
		}
	}
	for _, user := range []string{"nobody", "big"} {
		if _, _, _, err := a.find(user, "", false); err == nil {
			t.Errorf("%s is somebody", user)
		}
	}
	if _, _, _, err := a.find("mysql", "none", true); err == nil {
		t.Error("the group none is one")
	}
}

// An image may have neither file: then numbers are who they are, and names are nobody.
func TestAccountsWithoutFiles(t *testing.T) {
	files := map[string]string{}
	read := func(name string) ([]byte, error) {
		text, ok := files[name]
		if !ok {
			return nil, &fs.PathError{Op: "open", Path: name, Err: unix.ENOENT}
		}
		return []byte(text), nil
	}
	for _, file := range []string{"", "/etc/passwd", "/etc/group"} {
		if file != "" {
			files = map[string]string{file: map[string]string{"/etc/passwd": "mysql:x:999:998::/:/bin/false\n", "/etc/group": "data:x:50:mysql\n"}[file]}
		}
		a, err := readAccounts(read)
		if err != nil {
			t.Fatal(err)
		}
		uid, gid, groups, err := a.find("999", "", false)
		if want := map[string]idmap.Inside{"/etc/passwd": 998}[file]; err != nil || uid != 999 || gid != want || len(groups) > 0 {
			t.Errorf("with %q: %v:%v %v, %v", file, uid, gid, groups, err)
		}
		if _, _, _, err := a.find("mysql", "data", true); err == nil {
			t.Errorf("with %q: mysql:data is somebody", file)
		}
	}
	if _, err := readAccounts(func(string) ([]byte, error) { return nil, unix.EACCES }); !errors.Is(err, unix.EACCES) {
		t.Errorf("files that may not be read: %v", err)
	}
}
