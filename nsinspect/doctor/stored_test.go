package doctor

import (
	"reflect"
	"strings"
	"testing"

	"github.com/nsview/nsview/nsinspect/access"
)

// What is stored is judged as what was fetched.
func TestStoreAndLoad(t *testing.T) {
	f := host()
	inOwnUserNS(f)
	count(f, 300005, 300005)
	answer(f, 1000, 0o750)
	fresh, _ := judgeBy(f, refusing(100000, "r"))
	if err := Store(f, true); err != nil {
		t.Fatal(err)
	}
	back := &Facts{Snapshot: f.Snapshot, Containers: f.Containers, Host: true}
	if found, err := Load(back); !found || err != nil {
		t.Fatal(found, err)
	}
	stored, _ := judgeBy(back, refusing(100000, "r"))
	if !reflect.DeepEqual(fresh, stored) {
		t.Errorf("stored %+v\nfresh %+v", stored, fresh)
	}
}

// A stranger's snapshot is refused before anything is asked of it.
func TestLoadRefuses(t *testing.T) {
	f := host()
	a := answer(f, 1000, 0o750)
	f.Asked = []Asked{{Container: -1, Op: access.OpLstat, Subject: a.Subject, Walk: a.Walk}}
	if err := Store(f, true); err != nil {
		t.Fatal(err)
	}
	whole := string(f.Snapshot.Doctor)
	for _, c := range []struct{ old, forged string }{
		{`{"container":0,`, `{"container":7,`},
		{`"answers":[{"container":0,`, `"answers":[{"container":-1,`},
		{`"start":{`, `"start":null,"steps":[],"rest":[],"other":{`},
		{`"start":{`, `"start":{"overlay":{"unhindered":true,"copy_up":[null]},`},
		{`"start":{`, `"start":{"overlay":{"unhindered":true,"below":[null]},`},
		{`"mount":{`, `"mount":null,"exec":{`},
		{`"parent":4026531837`, `"parent":4026532300`},
		{`{"container":-1,`, `{"container":-2,`},
		{`{"container":-1,`, `{"container":1,`},
		{`"asked":[`, `"asked":[{"container":-1},`},
		{`"answers":[`, `"answers":[{"container":0},`},
		{`"counts":null`, `"counts":[{"container":9}]`},
		{`"hidden":null`, `"hidden":[{"container":9}]`},
	} {
		forged := strings.Replace(whole, c.old, c.forged, 1)
		if forged == whole {
			t.Errorf("there is no %s in %s", c.old, whole)
		}
		f.Snapshot.Doctor = []byte(forged)
		if found, err := Load(&Facts{Snapshot: f.Snapshot}); found || err == nil {
			t.Errorf("%s was taken", c.forged)
		}
	}
	f.Snapshot.Doctor = nil
	if found, err := Load(f); found || err != nil {
		t.Error(found, err)
	}
}

// One walk that was not read whole does not cost all the others: it is a gap. One that could not begin is whole.
func TestStoreLeavesOut(t *testing.T) {
	f := host()
	inOwnUserNS(f)
	answer(f, 1000, 0o750)
	torn, long := *f.Answers[0].Walk, *f.Answers[0].Walk
	torn.Start, torn.Path = nil, "/torn"
	long.Start, long.Path, long.Fail, long.Steps = nil, "/long", "ENAMETOOLONG", []access.Lookup{}
	for _, w := range []*access.Walk{&torn, &long} {
		a := f.Answers[0]
		a.Walk = w
		f.Answers = append(f.Answers, a)
	}
	if err := Store(f, true); err != nil {
		t.Fatal(err)
	}
	gaps := f.Snapshot.Gaps
	if len(gaps) == 0 || gaps[len(gaps)-1].Subject != "/torn" {
		t.Errorf("gaps %+v", gaps)
	}
	back := &Facts{Snapshot: f.Snapshot, Containers: f.Containers, Host: true}
	if found, err := Load(back); !found || err != nil || len(back.Answers) != 2 {
		t.Fatalf("%v, %v: %d answers", found, err, len(back.Answers))
	}
}
