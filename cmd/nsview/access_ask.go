package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/nsview/nsview/idmap"
	"github.com/nsview/nsview/nsinspect"
	"github.com/nsview/nsview/nsinspect/access"
	"github.com/nsview/nsview/nsinspect/doctor"
	"github.com/nsview/nsview/procscan/pathwalk"
)

// question is one question of access: a line of --batch, or the operands.
type question struct {
	Target string
	Path   string
	Op     string
	Args   []string
	User   string
}

func (q *question) operation() (access.Operation, error) {
	op, err := access.ParseOperation(q.Op, q.Args)
	return op, hinted(err)
}

// asker answers questions. It keeps what TARGETs stand for; credentials and paths are read anew for every question.
type asker struct {
	app     *app
	s       *nsinspect.Snapshot
	prober  prober        // nil before the first question, and with --from
	stored  *doctor.Facts // with --from, nil before the first question
	targets map[string]accessTarget
	scanned time.Time
}

// accessTarget is what a TARGET stands for.
type accessTarget struct {
	pid       int                  // 0: container is not running
	container *nsinspect.Container // nil for a process of the host
	index     int                  // of container in the snapshot, -1 for none
	named     bool                 // by its own PID or as the host: whoever has that PID now is meant
	held      *heldProcess         // nil when named, and when it is not running
}

// asker reads the host for questions about it.
func (a *app) asker(ctx context.Context) (*asker, error) {
	k := &asker{app: a}
	return k, k.scan(ctx)
}

// scan reads the host, again when what a TARGET stood for is gone.
func (k *asker) scan(ctx context.Context) error {
	s, err := k.app.snapshot(ctx, accessFacts)
	if err != nil {
		return err
	}
	k.use(s)
	return nil
}

// use has the questions asked of a picture of the host that was taken just now.
func (k *asker) use(s *nsinspect.Snapshot) {
	k.close()
	k.s, k.targets, k.scanned = s, make(map[string]accessTarget), time.Now()
}

func (k *asker) close() {
	for _, t := range k.targets {
		t.held.close()
	}
	k.targets = nil
	if k.prober != nil {
		k.prober.Close()
		k.prober = nil
	}
}

// rescanAfter is how old the picture of the host has to be before a TARGET that is not in it, or not any more, makes it
// be taken again: a batch may run for days and containers come and go.
const rescanAfter = time.Second

// subject reads who asks, as it is now.
func (k *asker) subject(ctx context.Context, q *question) (*access.Subject, error) {
	s, err := k.subjectNow(ctx, q)
	if err == nil || ctx.Err() != nil || time.Since(k.scanned) < rescanAfter {
		return s, err
	}
	if err := k.scan(ctx); err != nil {
		return nil, err
	}
	return k.subjectNow(ctx, q)
}

func (k *asker) subjectNow(ctx context.Context, q *question) (*access.Subject, error) {
	t, err := k.target(q.Target)
	if err != nil {
		return nil, err
	}
	if k.prober == nil {
		if k.prober, err = newProber(k.s, k.app.proc); err != nil {
			return nil, err
		}
	}
	s, err := subjectOf(ctx, k.prober, k.s, &doctor.SubjectAsk{Container: t.index, PID: t.pid, Target: q.Target})
	if err == nil && !t.held.alive() {
		err = fs.ErrNotExist // the credentials may be those of who has its PID now
	}
	if err != nil {
		return nil, subjectError(q.Target, err)
	}
	if q.User == "" {
		return s, nil
	}
	return k.prober.As(ctx, s, q.User)
}

// subjectError is why a TARGET could not be asked about.
func subjectError(target string, err error) error {
	switch {
	case gone(err):
		return fmt.Errorf("%s ended", target)
	case errors.Is(err, fs.ErrPermission):
		hint := "run as root: sudo nsview ..."
		if os.Geteuid() == 0 {
			hint = "run with CAP_SYS_PTRACE and all the capabilities of that process"
		}
		return usageError(hint, "this user may not ask about %s: its namespaces are shown only to who may trace it (%s)", target, reason(err))
	}
	return err
}

// target finds what a TARGET stands for, once.
func (k *asker) target(arg string) (accessTarget, error) {
	if t, ok := k.targets[arg]; ok {
		return t, nil
	}
	found, err := k.app.target(k.s, arg)
	if err != nil {
		return accessTarget{}, err
	}
	t := accessTarget{container: found.Container, named: found.Container == nil && found.Namespace == 0}
	switch {
	case found.Process != nil:
		t.pid = found.Process.PID
		if t.container == nil {
			t.container = k.s.ContainerOf(found.Process)
		}
	case found.Host && k.app.from == "":
		t.pid = os.Getpid()
	case found.Host:
		t.pid = k.s.Observer.PID
	case found.Container == nil || found.Container.Running():
		return accessTarget{}, fmt.Errorf("%s has no process that could be asked about", arg)
	}
	if !t.named && found.Process != nil && k.app.from == "" {
		if t.held, err = holdProcess(k.app.proc, found.Process); err != nil {
			return accessTarget{}, subjectError(arg, err)
		}
	}
	t.index = containerIndex(k.s, t.container)
	k.targets[arg] = t
	return t, nil
}

// containerIndex is which container of the snapshot it is, -1 for none.
func containerIndex(s *nsinspect.Snapshot, c *nsinspect.Container) int {
	for i := range s.Containers {
		if &s.Containers[i] == c {
			return i
		}
	}
	return -1
}

// ask answers one question. An error is a question that could not be asked.
func (k *asker) ask(ctx context.Context, q question) (access.Verdict, error) {
	op, err := q.operation()
	if err != nil {
		return access.Verdict{}, err
	}
	if k.app.from != "" {
		return k.askStored(&q, op)
	}
	s, err := k.subject(ctx, &q)
	if err != nil {
		return unasked(&q, op, err)
	}
	return k.decide(ctx, s, op, q.Path)
}

// unasked is the answer where who asks could not be read: unknown when a fact about them is not told, else the error.
func unasked(q *question, op access.Operation, err error) (access.Verdict, error) {
	var untold *pathwalk.UntoldError
	if errors.As(err, &untold) {
		return access.Undecided(q.Target, q.Path, op, untold.Missing), nil
	}
	return access.Verdict{}, err
}

// decide reads the path as the subject sees it and judges.
func (k *asker) decide(ctx context.Context, s *access.Subject, op access.Operation, file string) (access.Verdict, error) {
	w, err := k.prober.Walk(ctx, s, op, file)
	if err != nil {
		return access.Verdict{}, err
	}
	return judged(s, w, op), nil
}

// judged is the verdict, with what would change a denial, or why that is not known.
func judged(s *access.Subject, w *access.Walk, op access.Operation) access.Verdict {
	v := access.Decide(s, w, op)
	if v.Verdict == access.Deny {
		v.Fixes = append(v.Fixes, access.Fixes(s, w, op, v)...)
		if len(v.Fixes) == 0 {
			v.Missing = access.Unseen(w, v)
		}
	}
	return v
}

// common answers for what people want to do with a file of that type, or with a name that is not there yet.
func (k *asker) common(ctx context.Context, q question) ([]access.Verdict, error) {
	if k.app.from != "" {
		return k.commonStored(q)
	}
	lookup := access.Operation{Op: access.OpLookup}
	s, err := k.subject(ctx, &q)
	if err != nil {
		v, err := unasked(&q, lookup, err)
		return []access.Verdict{v}, err
	}
	w, err := k.prober.Walk(ctx, s, lookup, q.Path)
	if err != nil {
		return nil, err
	}
	return askCommon(s, w, q.Path, func(op access.Operation, file string) (access.Verdict, error) { return k.decide(ctx, s, op, file) })
}

// askCommon asks what people want to do with a file whose walk it has: a new file in it, where that is a directory.
func askCommon(s *access.Subject, w *access.Walk, file string, ask func(access.Operation, string) (access.Verdict, error)) ([]access.Verdict, error) {
	var verdicts []access.Verdict
	for _, words := range commonOperations(s, w) {
		asked := file
		if words[0] == string(access.OpCreate) && isDirectory(w) {
			asked = strings.TrimSuffix(file, "/") + "/" + access.NewFile
		}
		op, err := access.ParseOperation(words[0], words[1:])
		if err != nil {
			return nil, err
		}
		v, err := ask(op, asked)
		if err != nil {
			return nil, err
		}
		verdicts = append(verdicts, v)
	}
	return verdicts, nil
}

func isDirectory(w *access.Walk) bool {
	n := w.Reached()
	return n != nil && n.Type == access.Directory
}

// commonOperations are what to ask of a file of that type. A chown is asked to the subject's own ids.
func commonOperations(s *access.Subject, w *access.Walk) [][]string {
	n := w.Reached()
	own := []string{"chown", "-", "-"}
	if ns := w.Host.UserNS[s.UserNS]; ns != nil {
		for i, id := range []idmap.Inside{ns.UID.ToInside(s.Cred.UID.FS), ns.GID.ToInside(s.Cred.GID.FS)} {
			if id.Mapped() {
				own[i+1] = id.String()
			}
		}
	}
	switch {
	case n == nil:
		return [][]string{{"lookup"}, {"create"}, {"mkdir"}}
	case n.Type == access.Directory:
		return [][]string{{"lookup"}, {"chdir"}, {"read"}, {"create"}, {"rmdir"}, {"chmod", "0755"}, own}
	case n.Type == access.Socket:
		return [][]string{{"lookup"}, {"connect"}, {"unlink"}, {"chmod", "0666"}, own}
	}
	return [][]string{{"lookup"}, {"read"}, {"write"}, {"exec"}, {"unlink"}, {"chmod", "0644"}, own}
}

// others says which processes of a container have other credentials than the one that answers for it.
func (k *asker) others(t *accessTarget) string {
	p := k.s.Process(t.pid)
	if p == nil || p.Container < 0 || t.named {
		return ""
	}
	var pids []string
	count := 0
	for i := range k.s.Processes {
		o := &k.s.Processes[i]
		if o.Container != p.Container || sameCredentials(&o.Cred, &p.Cred) {
			continue
		}
		if count++; count <= 3 {
			pids = append(pids, fmt.Sprintf("%d (%s)", o.PID, o.Comm))
		}
	}
	if count == 0 {
		return ""
	}
	if count > len(pids) {
		pids = append(pids, fmt.Sprintf("%d more", count-len(pids)))
	}
	return "other processes of the container have other credentials, ask for them by PID: " + strings.Join(pids, ", ")
}

// sameCredentials compares what file access is checked with.
func sameCredentials(a, b *nsinspect.Credentials) bool {
	return a.UID == b.UID && a.GID == b.GID && a.CapEff == b.CapEff && slices.Equal(a.Groups, b.Groups)
}
