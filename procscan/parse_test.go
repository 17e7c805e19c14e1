package procscan

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/nsview/nsview/idmap"
	"github.com/nsview/nsview/nsinspect"
	"github.com/nsview/nsview/procscan/proctest"
)

// hostileComms are names that a process may give itself (prctl(2) PR_SET_NAME).
func hostileComms() []string {
	return []string{
		"sh", "", "(", ")", ") R 1 2 3", "a\nb", "Uid:\t0\t0", "\nUid:\t0\t0\t0\t0", "\x1b[31mred", `\n`, "\xff\xfe", "( ) S 1 (",
	}
}

func TestParseStatHostileComm(t *testing.T) {
	for _, comm := range hostileComms() {
		p := proctest.Process{PID: 42, PPID: 7, Comm: comm, State: "D", StartTime: 81733}
		var got stat
		if err := parseStat([]byte(p.Stat()), &got); err != nil {
			t.Errorf("%q: %v", comm, err)
			continue
		}
		if want := (stat{comm: comm, state: 'D', ppid: 7, startTime: 81733}); got != want {
			t.Errorf("%q: got %+v, want %+v", comm, got, want)
		}
	}
}

func TestParseStat(t *testing.T) {
	// A kernel thread, as Linux 6.18 prints it.
	const kthreadd = "2 (kthreadd) S 0 0 0 0 -1 2129984 0 0 0 0 0 0 0 0 20 0 1 0 19 0 0 18446744073709551615 0 0 0 0 0 0 0 2147483647 0 0 0 0 0 1 0 0 0 0 0 0 0 0 0 0 0 0 0\n"
	var got stat
	if err := parseStat([]byte(kthreadd), &got); err != nil {
		t.Fatal(err)
	}
	if want := (stat{comm: "kthreadd", state: 'S', kthread: true, startTime: 19}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	for _, tt := range []struct{ in, want string }{
		{"", "no comm"},
		{"1 ) S (", "no comm"},
		{"1 (a) S 1 1", "5 fields, want 22"},
		{"1 (a) S x 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 5", "field 4"},
		{"1 (a) S -5 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 5", "field 4"},
		{"1 (a) S 1 1 1 0 -1 99999999999 0 0 0 0 0 0 0 0 20 0 1 0 5", "field 9"},
		{"1 (a) S 1 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 5x", "field 22"},
	} {
		if err := parseStat([]byte(tt.in), &got); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%q: error %v, want %q", tt.in, err, tt.want)
		}
	}
}

func TestParseStatus(t *testing.T) {
	const text = "Name:\tsleep\nUmask:\t0027\nState:\tS (sleeping)\nTgid:\t5336\nPid:\t5336\nPPid:\t5329\n" +
		"Uid:\t1\t2\t3\t4\nGid:\t5\t6\t7\t4294967294\nFDSize:\t64\nGroups:\t8 65534 9 \nNSpid:\t5336\t12\t1\nThreads:\t3\n" +
		"CapInh:\t0000000000000001\nCapPrm:\t000001ffffffffff\nCapEff:\t0000000000000003\nCapBnd:\tffffffffffffffff\nCapAmb:\t0000000000000010\n" +
		"NoNewPrivs:\t1\nSeccomp:\t2\nvoluntary_ctxt_switches:\t0\n"
	var got status
	if err := parseStatus([]byte(text), &got); err != nil {
		t.Fatal(err)
	}
	want := status{
		name: []byte("sleep"),
		pids: []int{5336, 12, 1}, ppid: 5329, state: 'S', threads: 3,
		cred: nsinspect.Credentials{
			UID: nsinspect.IDs{Real: 1, Effective: 2, Saved: 3, FS: 4}, GID: nsinspect.IDs{Real: 5, Effective: 6, Saved: 7, FS: 4294967294},
			Groups: []idmap.Kernel{8, 65534, 9}, CapInh: 1, CapPrm: 0x1ffffffffff, CapEff: 3, CapBnd: 1<<64 - 1, CapAmb: 16,
			NoNewPrivs: true, Seccomp: 2, Umask: 0o27,
		},
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(status{})); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestParseStatusHostileComm(t *testing.T) {
	for _, comm := range hostileComms() {
		p := proctest.Process{PID: 42, Comm: comm, UID: [4]uint32{5, 6, 7, 8}}
		var got status
		if err := parseStatus([]byte(p.Status()), &got); err != nil || got.cred.UID.Effective != 6 {
			t.Errorf("%q: %+v, %v", comm, got, err)
		}
	}
}

func TestParseStatusIsStrict(t *testing.T) {
	const ids = "Uid:\t0\t0\t0\t0\nGid:\t0\t0\t0\t0\n"
	for _, tt := range []struct{ in, want string }{
		{"", "no Uid or Gid"},
		{"Uid:\t0\t0\t0\t0\n", "no Uid or Gid"},
		{"Name:\tx\nUid:\t0\t0\t0\n", "line 2: Uid: 3 fields"},
		{"Uid:\t0\t0\t0\t0\t0\n", "more than 4"},
		{"Uid:\t0\t0\t0\t-1\n", "field 4"},
		{"Uid:\t0\t0x0\t0\t0\n", "field 2"},
		{"Uid:\t4294967296\t0\t0\t0\n", "too large"},
		{ids + "Groups:\t1 x\n", "line 3: Groups: field 2"},
		{ids + "NSpid:\t1\t-1\n", "NSpid: field 2"},
		{ids + "CapEff:\t1ffffffffffffffff\n", "too large"},
		{ids + "CapEff:\tzz\n", "base 16"},
		{ids + "Umask:\t0088\n", "base 8"},
		{ids + "no colon\n", "line 3: no colon"},
		{ids + "Seccomp:\t\n", "empty number"},
		{ids + "State:\t\n", "State: empty"},
	} {
		var got status
		if err := parseStatus([]byte(tt.in), &got); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%q: error %v, want %q", tt.in, err, tt.want)
		}
	}
}

func TestParseUintLimits(t *testing.T) {
	for _, tt := range []struct {
		in   string
		base uint64
		bits uint
		want uint64
		ok   bool
	}{
		{"18446744073709551615", 10, 64, 1<<64 - 1, true},
		{"18446744073709551616", 10, 64, 0, false},
		{"4294967295", 10, 32, 1<<32 - 1, true},
		{"4294967296", 10, 32, 0, false},
		{"2147483648", 10, 31, 0, false},
		{"ffffffffffffffff", 16, 64, 1<<64 - 1, true},
		{"10000000000000000", 16, 64, 0, false},
		{"007", 8, 32, 7, true},
		{"", 10, 64, 0, false},
		{"+1", 10, 64, 0, false},
		{"1_0", 10, 64, 0, false},
	} {
		got, err := parseUint([]byte(tt.in), tt.base, tt.bits)
		if (err == nil) != tt.ok || err == nil && got != tt.want {
			t.Errorf("%q base %d: %d, %v", tt.in, tt.base, got, err)
		}
	}
}

func TestParseCgroup(t *testing.T) {
	for _, tt := range []struct{ name, in, want string }{
		{"unified", "0::/system.slice/docker-1.scope\n", "/system.slice/docker-1.scope"},
		{"unified, nothing else", "0::/\n", "/"},
		{"version 1", "12:cpu,cpuacct:/docker/1\n1:name=systemd:/docker/2\n", "/docker/2"},
		{"hybrid in use", "3:cpu:/a\n1:name=systemd:/b\n0::/c\n", "/c"},
		{"hybrid not in use", "3:cpu:/a\n1:name=systemd:/b\n0::/\n", "/b"},
		{"without systemd", "3:cpu:/a\n2:pids:/b\n0::/\n", "/a"},
		{"colons and blanks in a path", "0::/a:b c:d\n", "/a:b c:d"},
		{"outside the reader's cgroup namespace", "0::/../x\n", "/../x"},
		{"none", "", ""},
	} {
		got, err := parseCgroup([]byte(tt.in))
		if err != nil || string(got) != tt.want {
			t.Errorf("%s: %q, %v, want %q", tt.name, got, err, tt.want)
		}
	}
	for _, in := range []string{"0\n", "0:\n", "0::\n", "0::x\n", "0::/\n\n"} {
		if got, err := parseCgroup([]byte(in)); err == nil {
			t.Errorf("%q: %q, want an error", in, got)
		}
	}
}

func TestSplitArgs(t *testing.T) {
	for _, tt := range []struct {
		in   string
		want []string
	}{
		{"", nil},
		{"sleep\x007001\x00", []string{"sleep", "7001"}},
		{"sh\x00-c\x00a\nb\x1b[31m\x00\x00", []string{"sh", "-c", "a\nb\x1b[31m", ""}},
		{"\x00", []string{""}},
		{"\x00\x00", []string{"", ""}},
		{"nginx: worker process", []string{"nginx: worker process"}},
	} {
		if diff := cmp.Diff(tt.want, splitArgs([]byte(tt.in))); diff != "" {
			t.Errorf("%q: (-want +got)\n%s", tt.in, diff)
		}
	}
}

func TestParseNSLinkOf(t *testing.T) {
	if got, err := parseNSLinkOf([]byte("user:[4026531837]"), "user"); err != nil || got != 4026531837 {
		t.Errorf("%d, %v", got, err)
	}
	for _, in := range []string{"", "user", "user:[", "user:[]", "user:[x]", "user:[0]", "user:[1", "mnt:[1]", "user:[1] "} {
		if got, err := parseNSLinkOf([]byte(in), "user"); err == nil {
			t.Errorf("%q: %d, want an error", in, got)
		}
	}
}

func FuzzParseStat(f *testing.F) {
	f.Add([]byte(proctest.Process{PID: 1, Comm: "a) b"}.Stat()))
	f.Fuzz(func(t *testing.T, b []byte) {
		var st stat
		if parseStat(b, &st) == nil && len(st.comm) > len(b) {
			t.Error("a comm longer than the file")
		}
	})
}

func FuzzParseStatus(f *testing.F) {
	f.Add([]byte(proctest.Process{PID: 1, Comm: "a", Groups: []uint32{1}}.Status()))
	f.Fuzz(func(t *testing.T, b []byte) {
		var st status
		if parseStatus(b, &st) == nil && st.cred.Groups == nil {
			t.Error("nil groups")
		}
	})
}
