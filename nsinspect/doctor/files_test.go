package doctor

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/nsview/nsview/idmap"
	"github.com/nsview/nsview/nsinspect"
	"github.com/nsview/nsview/nsinspect/access"
)

// sample adds files of docker:web's volume that have that owner and mode, and one of them.
func sample(f *Facts, name string, owner idmap.Kernel, mode uint32) {
	a := &f.Answers[0]
	w := a.Walk.In(name)
	last := &w.Steps[len(w.Steps)-1]
	last.Found = &access.Node{
		Path: "/data/" + name, Host: "/srv/data/" + name, Type: access.Regular, Mode: mode, Mount: last.Dir.Mount,
		UID: access.ID{OnDisk: idmap.Disk(owner), Seen: owner, Known: true}, GID: access.ID{OnDisk: idmap.Disk(owner), Seen: owner, Known: true},
	}
	f.Samples = append(f.Samples, Sample{Path: "/data", Files: 3, Of: 9, Subject: a.Subject, Walk: w})
}

func TestFiles(t *testing.T) {
	for name, c := range map[string]struct {
		dir, mode uint32
		owner     idmap.Kernel
		readOnly  bool
		want      string // of the first command, "" without a finding
	}{
		"open to it":             {0o755, 0o666, 1000, false, ""},
		"cannot read":            {0o755, 0o640, 1000, false, "-m u:999:rw"},
		"cannot write":           {0o755, 0o644, 1000, false, "-m u:999:rw"},
		"not meant to write":     {0o755, 0o640, 1000, true, "-m u:999:r "},
		"does not write":         {0o755, 0o644, 1000, true, ""},
		"closed by its own mode": {0o755, 0o000, 999, false, ""},
		"volume is closed":       {0o000, 0o640, 1000, false, ""},
	} {
		f := host()
		f.Fix = access.Fixes
		f.Snapshot.Processes[0].Cred = cred(999)
		if c.readOnly {
			f.Snapshot.MountTables[1].Mounts[2].Options = []string{"ro"}
		}
		answer(f, 999, c.dir).Walk.Steps[0].Found.Host = "/srv/data"
		sample(f, "a", c.owner, c.mode)
		f.Samples = append(f.Samples, f.Samples[0]) // of the configured user, who is the same
		if c.want == "" {
			want(t, f, Files)
			continue
		}
		found := want(t, f, Files, "warning docker:web /data")
		command := fmt.Sprintf("find /srv/data -xdev -type f -uid 1000 -gid 1000 -perm %o -execdir setfacl "+c.want, c.mode)
		if len(found) == 0 || !strings.HasPrefix(found[0].Fixes[0].Commands[0], command) || !strings.Contains(found[0].Evidence, "3 of 9 files in /data") {
			t.Errorf("%s: %+v", name, found)
		}
	}
	// Of many sorts the most frequent are told.
	f := host()
	f.Snapshot.Processes[0].Cred = cred(999)
	answer(f, 999, 0o755)
	for _, name := range []string{"a", "b", "c", "d", "e"} {
		sample(f, name, 1000, 0o600)
	}
	want(t, f, Files, slices.Repeat([]string{"warning docker:web /data"}, maxFileFindings)...)
}

func TestSampleAsks(t *testing.T) {
	f := host()
	f.Snapshot.Processes[0].Cred = cred(999)
	answer(f, 999, 0o755)
	volume := &PathAsk{Path: "/data", Volume: nsinspect.Volume{Point: "/data", Source: "/srv/data"}}
	f.Counts = []Count{
		{Path: "/data", Files: 1, Mode: 0o040755, Example: "/data"},
		{Path: "/data", Files: 5, Mode: 0o100640, Example: "/data/a"},
		{Path: "/data", Files: 2, Mode: 0o120777, Example: "/data/link"},
	}
	asks, paths, gaps := f.SampleAsks()
	if !f.WantsFiles(volume) || !slices.Equal(paths, []string{"/data/a"}) || len(asks) != 1 || asks[0].Of != 8 || len(gaps) > 0 {
		t.Errorf("asks %v %+v, gaps %v", paths, asks, gaps)
	}
	for n := range uint32(2 * maxSamples) {
		f.Counts = append(f.Counts, Count{Path: "/data", Files: 1, Mode: 0o100000 + n, Example: fmt.Sprint("/data/", n)})
	}
	if asks, _, gaps = f.SampleAsks(); len(asks) != maxSamples || len(gaps) != 1 {
		t.Errorf("%d asks, gaps %v", len(asks), gaps)
	}
	f.Answers[0].Subject.Cred.CapEff = access.CapSet([]string{"CAP_DAC_OVERRIDE"})
	if f.WantsFiles(volume) {
		t.Error("root is asked about, who may do everything")
	}
}

// Files that are nobody's inside are given to the ids that are inside what their owners are outside.
func TestUnmappedFix(t *testing.T) {
	f := host()
	inOwnUserNS(f)
	count(f, 999, 999)
	count(f, 0, 0)
	found := want(t, f, Unmapped, "warning docker:web /data")
	commands := []string{
		"find /srv/data -xdev -uid 999 -gid 999 -execdir chown -h -- 100999:100999 '{}' +",
		"find /srv/data -xdev -uid 0 -gid 0 -execdir chown -h -- 100000:100000 '{}' +",
	}
	if len(found[0].Fixes) != 1 || !slices.Equal(found[0].Fixes[0].Commands, commands) || !found[0].Fixes[0].Proven {
		t.Errorf("%+v", found[0].Fixes)
	}
	f.Counts[0].Partial = true
	if found := want(t, f, Unmapped, "warning docker:web /data"); len(found[0].Fixes) != 1 || found[0].Fixes[0].Proven {
		t.Errorf("what was counted in part: %+v", found[0].Fixes)
	}
	count(f, 70000, 70000)
	if found := want(t, f, Unmapped, "warning docker:web /data"); len(found[0].Fixes) > 0 {
		t.Errorf("the container has no 70000: %+v", found[0].Fixes)
	}
}
