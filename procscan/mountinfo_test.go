package procscan

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/nsview/nsview/nsinspect"
	"github.com/prometheus/procfs"
)

func TestParseMountinfo(t *testing.T) {
	tests := []struct {
		name, line string
		want       nsinspect.Mount
	}{
		{
			"the man page's", "36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue",
			nsinspect.Mount{
				ID: 36, Parent: 35, Dev: "98:0", Root: "/mnt1", Point: "/mnt2", Options: []string{"rw", "noatime"},
				Propagation: []string{"master:1"}, FSType: "ext3", Source: "/dev/root", SuperOpts: []string{"rw", "errors=continue"},
			},
		},
		{
			"escapes", `1 1 0:5 /a\040b /c\011d\012e\134f rw - tmpfs a\043b rw,x=a\054b`,
			nsinspect.Mount{
				ID: 1, Parent: 1, Dev: "0:5", Root: "/a b", Point: "/c\td\ne\\f", Options: []string{"rw"},
				Propagation: []string{}, FSType: "tmpfs", Source: "a#b", SuperOpts: []string{"rw", "x=a,b"},
			},
		},
		{
			"an escape is undone once", `1 1 0:5 / /a\134040b rw - tmpfs none rw`,
			nsinspect.Mount{
				ID: 1, Parent: 1, Dev: "0:5", Root: "/", Point: `/a\040b`, Options: []string{"rw"},
				Propagation: []string{}, FSType: "tmpfs", Source: "none", SuperOpts: []string{"rw"},
			},
		},
		{
			"several optional fields, idmapped", "9 8 0:5 / /x rw,idmapped shared:7 master:1 propagate_from:2 unbindable - fuse.sshfs a:/b rw",
			nsinspect.Mount{
				ID: 9, Parent: 8, Dev: "0:5", Root: "/", Point: "/x", Options: []string{"rw", "idmapped"}, Idmapped: true,
				Propagation: []string{"shared:7", "master:1", "propagate_from:2", "unbindable"},
				FSType:      "fuse.sshfs", Source: "a:/b", SuperOpts: []string{"rw"},
			},
		},
		{
			"an empty source", "9 8 0:5 / /x rw - tmpfs  rw,size=4k",
			nsinspect.Mount{
				ID: 9, Parent: 8, Dev: "0:5", Root: "/", Point: "/x", Options: []string{"rw"}, Propagation: []string{},
				FSType: "tmpfs", Source: "", SuperOpts: []string{"rw", "size=4k"},
			},
		},
		{
			"a namespace file", "9 8 0:4 net:[4026532301] /run/netns/a rw shared:3 - nsfs nsfs rw",
			nsinspect.Mount{
				ID: 9, Parent: 8, Dev: "0:4", Root: "net:[4026532301]", Point: "/run/netns/a", Options: []string{"rw"},
				Propagation: []string{"shared:3"}, FSType: "nsfs", Source: "nsfs", SuperOpts: []string{"rw"},
			},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := parseMountinfo(strings.NewReader(tt.line + "\n"))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff([]nsinspect.Mount{tt.want}, got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

func TestParseMountinfoIsStrict(t *testing.T) {
	const good = "36 35 98:0 / / rw - ext3 /dev/root rw\n"
	for _, tt := range []struct{ line, want string }{
		{"36 35 98:0 / / rw ext3 /dev/root rw", "no separator"},
		{"36 35 98:0 / / - ext3 /dev/root rw", "5 fields before the separator"},
		{"36 35 98:0 / / rw - ext3 rw", "2 fields after the separator"},
		{"x 35 98:0 / / rw - ext3 /dev/root rw", `mount id "x"`},
		{"36 -1 98:0 / / rw - ext3 /dev/root rw", `parent id "-1"`},
		{"36 35 98 / / rw - ext3 /dev/root rw", `device "98"`},
		{"36 35 98:a / / rw - ext3 /dev/root rw", `device "98:a"`},
		{"36 35 98:0  / rw - ext3 /dev/root rw", "empty field"},
		{"", "no separator"},
		{strings.Repeat("x", maxMountLine+1), "too long"},
	} {
		_, err := parseMountinfo(strings.NewReader(good + tt.line + "\n"))
		if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.HasPrefix(err.Error(), "line 2: ") {
			t.Errorf("%.40q: error %v, want line 2 and %q", tt.line, err, tt.want)
		}
	}
}

func TestParseMountinfoHundredThousandMounts(t *testing.T) {
	var b bytes.Buffer
	const n = 100_000
	for i := range n {
		fmt.Fprintf(&b, "%d 1 0:5 / /m/%d rw,nosuid shared:%d - tmpfs none rw\n", i, i, i)
	}
	got, err := parseMountinfo(&b)
	if err != nil || len(got) != n || got[n-1].Point != fmt.Sprintf("/m/%d", n-1) {
		t.Fatalf("%d mounts, %v", len(got), err)
	}
}

func TestCappedReaderFails(t *testing.T) {
	if _, err := io.ReadAll(&cappedReader{strings.NewReader("12345"), 5}); err != nil {
		t.Errorf("5 bytes of 5: %v", err)
	}
	if _, err := io.ReadAll(&cappedReader{strings.NewReader("123456"), 5}); !errors.Is(err, errTooLarge) {
		t.Errorf("6 bytes of 5: %v", err)
	}
}

// The table of this very process, against prometheus/procfs's reading of the same file.
func TestParseMountinfoAgainstProcfs(t *testing.T) {
	content, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	got, err := parseMountinfo(bytes.NewReader(content))
	if err != nil {
		t.Fatal(err)
	}
	want, err := procfs.GetMounts()
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != len(want) {
		t.Fatalf("%d mounts, procfs has %d", len(got), len(want))
	}
	for i, w := range want {
		g := got[i]
		if g.ID != w.MountID || g.Parent != w.ParentID || g.Dev != w.MajorMinorVer || g.FSType != w.FSType || g.Source != w.Source {
			t.Errorf("mount %d: %+v, procfs says %+v", i, g, w)
		}
	}
}

func FuzzParseMountinfo(f *testing.F) {
	f.Add("36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue\n")
	f.Add("1 1 0:5 /a\\040b / rw - tmpfs  rw\n")
	f.Fuzz(func(t *testing.T, s string) {
		mounts, err := parseMountinfo(strings.NewReader(s))
		if err != nil && mounts != nil {
			t.Errorf("mounts beside error %v", err)
		}
	})
}
