package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/nsview/nsview/nsinspect"
	"github.com/nsview/nsview/nsinspect/access"
)

// countingProber knows a target and nothing of paths.
type countingProber struct {
	subjects, walks int
	users           []string
}

func (p *countingProber) Process(_ context.Context, pid int, target string) (*access.Subject, error) {
	p.subjects++
	return &access.Subject{PID: pid, Target: target}, nil
}

func (p *countingProber) Stopped(context.Context, *nsinspect.Container, string) (*access.Subject, error) {
	return nil, os.ErrNotExist
}

func (p *countingProber) As(_ context.Context, s *access.Subject, user string) (*access.Subject, error) {
	p.users = append(p.users, user)
	return s, nil
}

func (p *countingProber) Walk(_ context.Context, _ *access.Subject, op access.Operation, path string) (*access.Walk, error) {
	p.walks++
	dir := &access.Node{Path: "/", Type: access.Directory}
	w := &access.Walk{Host: &access.Host{}, Path: path, Start: dir, Missing: "everything"}
	if op.New != "" {
		w.New = &access.Walk{Host: w.Host, Path: op.New, Start: dir, Missing: "everything"}
	}
	return w, nil
}

func (p *countingProber) Close() {}

func testAsker() (*asker, *countingProber) {
	p := &countingProber{}
	return &asker{
		app: &app{}, s: &nsinspect.Snapshot{}, prober: p, scanned: time.Now(),
		targets: map[string]accessTarget{"web": {pid: 5, named: true}},
	}, p
}

// One line each, in order, with the id as it was asked for.
func TestBatchAnswersEveryLine(t *testing.T) {
	tests := []struct{ line, id, err string }{
		{`{"id":"a","target":"web","op":"read","path":"/f"}`, "a", ""},
		{`{"id":17,"target":"web","op":"read","path":"/f"}`, "17", ""},
		{`{"target":"web","op":"chown","path":"/f","args":["-1","5"]}`, "", ""},
		{`{"id":"u","target":"web","op":"read","path":"/f","user":"app:www"}`, "u", ""},
		{`{"id":"n","target":"web","op":"read","path":"/f","user":null}`, "n", ""},
		{`{"id":"v","target":"web","op":"read","path":"/f","user":""}`, "v", "the user of the question is empty"},
		{`{"id":"e","target":"web","op":"read","path":""}`, "e", ""},
		{`{"id":"b","target":"web","op":"raed","path":"/f"}`, "b", `unknown operation "raed": did you mean read?`},
		{`{"id":"c","target":"web","op":"read"}`, "c", "the question has no path"},
		{`{"id":"d","target":"web","path":"/f"}`, "d", "the question has no op"},
		{`{"id":"f","op":"read","path":"/f"}`, "f", "the question has no target"},
		{`{"id":"g","target":"db","op":"read","path":"/f"}`, "g", `no container or namespace named "db"`},
		{`{"id":"h","target":"web","op":"read","path":"/f","usr":"x"}`, "h", `not a question: unknown field "usr"`},
		{`{"id":"i","target":"web","op":"read","path":"/f"} {}`, "i", "not a question: something follows the object"},
		{`{"id":"j","target":"web","op":"read","path":"/\u0000"}`, "j", "a path has no NUL byte"},
		{"{\"id\":\"k\",\"target\":\"web\",\"op\":\"read\",\"path\":\"/\xff\"}", "", "not a question: JSON is UTF-8"},
		{`["read"]`, "", "not a question: cannot unmarshal array"},
		{`null`, "", "the question has no target"},
		{`{`, "", "not a question: unexpected EOF"},
		{strings.Repeat("x", batchLine+1), "", errBatchLine.Error()},
		{`{"id":"z","target":"web","op":"lookup","path":"/f"}`, "z", ""},
	}
	var asked strings.Builder
	for _, tt := range tests {
		asked.WriteString(tt.line + "\n\n \n")
	}
	k, p := testAsker()
	var out bytes.Buffer
	failed, err := k.answer(t.Context(), strings.NewReader(strings.TrimSpace(asked.String())), &out)
	if err != nil || !failed {
		t.Errorf("answer: failed %v, %v", failed, err)
	}
	lines := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
	if len(lines) != len(tests) {
		t.Fatalf("%d answers to %d questions", len(lines), len(tests))
	}
	questions := 0
	for i, tt := range tests {
		var got batchAnswer
		if err := json.Unmarshal([]byte(lines[i]), &got); err != nil {
			t.Fatalf("%s: %v", lines[i], err)
		}
		if got.ID != tt.id || !strings.HasPrefix(got.Error, tt.err) || (got.Error == "") != (tt.err == "") {
			t.Errorf("%.80s: id %q error %q, want %q %q", tt.line, got.ID, got.Error, tt.id, tt.err)
		}
		if got.Error != "" && got.Verdict.Verdict != access.Unknown {
			t.Errorf("%.80s: %s", tt.line, got.Verdict.Verdict)
		}
		if tt.err == "" {
			questions++
		}
	}
	// Who asks and what is on the way are read anew for each.
	if p.subjects != questions || p.walks != questions || len(p.users) != 1 || p.users[0] != "app:www" {
		t.Errorf("%d questions: %d subjects, %d walks, users %v", questions, p.subjects, p.walks, p.users)
	}
}

// An answer is there before the next question is asked.
func TestBatchDoesNotWait(t *testing.T) {
	k, _ := testAsker()
	in, ask := io.Pipe()
	answers, out := io.Pipe()
	done := make(chan error, 1)
	go func() {
		_, err := k.answer(t.Context(), in, out)
		out.Close()
		done <- err
	}()
	late := time.AfterFunc(10*time.Second, func() { answers.CloseWithError(os.ErrDeadlineExceeded) })
	defer late.Stop()
	decoder := json.NewDecoder(answers)
	for range 3 {
		if _, err := io.WriteString(ask, `{"target":"web","op":"read","path":"/f"}`+"\n"); err != nil {
			t.Fatal(err)
		}
		var got batchAnswer
		if err := decoder.Decode(&got); err != nil || got.Error != "" {
			t.Fatalf("%+v, %v", got, err)
		}
	}
	ask.Close()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
