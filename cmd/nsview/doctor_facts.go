package main

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"path/filepath"
	"strconv"
	"time"
	"unicode/utf8"

	"golang.org/x/sys/unix"

	"github.com/nsview/nsview/idmap"
	"github.com/nsview/nsview/nsinspect"
	"github.com/nsview/nsview/nsinspect/access"
	"github.com/nsview/nsview/nsinspect/doctor"
	"github.com/nsview/nsview/procscan"
	"github.com/nsview/nsview/runner"
)

// doctorFacts fetches what doctor judges. What could not be fetched is a gap.
func (a *app) doctorFacts(ctx context.Context, f *doctor.Facts, budget time.Duration) []nsinspect.Gap {
	if a.from != "" {
		return storedFacts(f)
	}
	defer a.progress("looking at the volumes of " + counted(len(f.Containers), "container"))()
	gaps := a.hostFacts(ctx, f)
	plan := doctor.NewPlan(f.Snapshot, f.Containers)
	probe, err := newProber(f.Snapshot, a.proc)
	if err != nil {
		gaps = append(gaps, nsinspect.Gap{Subject: "the volumes of the containers", Fact: "access", Error: err.Error()})
	} else {
		defer probe.Close()
		gaps = append(gaps, answers(ctx, probe, f, &plan)...)
	}
	atlas := nsinspect.NewAtlas(f.Snapshot)
	gaps = append(gaps, a.countVolumes(ctx, f, atlas, &plan, budget)...)
	if err == nil {
		gaps = append(gaps, samples(ctx, probe, f)...)
	}
	a.hiddenFiles(ctx, f, atlas, &plan)
	return gaps
}

// storedFacts takes them from the snapshot.
func storedFacts(f *doctor.Facts) []nsinspect.Gap {
	gap := nsinspect.Gap{Subject: "the volumes of the containers", Fact: "access and owners", Error: "not stored in the snapshot", Hint: "nsview snapshot --volumes stores them"}
	found, err := doctor.Load(f)
	switch {
	case err != nil:
		gap.Error, gap.Hint = err.Error(), ""
	case found || len(f.Containers) == 0:
		return nil
	}
	return []nsinspect.Gap{gap}
}

// storedBudget is how long the files of one volume are counted for a snapshot.
const storedBudget = time.Second

// storeWalks stores in s what access needs to know of paths (TARGET:PATH), and with volumes what doctor needs of all
// containers.
func (a *app) storeWalks(ctx context.Context, s *nsinspect.Snapshot, paths []string, volumes bool) error {
	f := &doctor.Facts{Snapshot: s}
	if volumes {
		for i := range s.Containers {
			f.Containers = append(f.Containers, i)
		}
		s.Gaps = append(s.Gaps, a.doctorFacts(ctx, f, storedBudget)...)
	}
	s.Gaps = append(s.Gaps, a.askedFacts(ctx, f, paths)...)
	return doctor.Store(f, volumes)
}

// askedFacts walks the paths. One that names no target or no path was complained about already.
func (a *app) askedFacts(ctx context.Context, f *doctor.Facts, paths []string) (gaps []nsinspect.Gap) {
	k := &asker{app: a}
	k.use(f.Snapshot)
	defer k.close()
	for _, arg := range paths {
		name, file, ok := cutTarget(arg)
		if !ok || !utf8.ValidString(file) {
			continue
		}
		subject, err := k.subjectNow(ctx, &question{Target: name})
		if err != nil {
			gaps = append(gaps, doctorGap(arg, 0, "access", err))
			continue
		}
		container := containerIndex(f.Snapshot, subject.Container)
		for _, op := range access.StoredOps() {
			walk, err := k.prober.Walk(ctx, subject, op, file)
			if err != nil {
				gaps = append(gaps, doctorGap(arg, 0, "access", err))
				break
			}
			f.Asked = append(f.Asked, doctor.Asked{Container: container, Op: op.Op, Subject: subject, Walk: walk})
		}
	}
	return gaps
}

// hostFacts reads what concerns every container: the grants of subordinate ids, and for the host itself the programs that
// let them be used.
func (a *app) hostFacts(ctx context.Context, f *doctor.Facts) []nsinspect.Gap {
	var gaps []nsinspect.Gap
	read := func(file string) idmap.SubIDs {
		text, err := procscan.InTime(ctx, time.Second, func() ([]byte, error) {
			root, err := procscan.OpenRoot(a.hostRoot)
			if err != nil {
				return nil, err
			}
			defer root.Close()
			return root.ReadFile(file, maxSubIDs)
		})
		if err != nil {
			if !errors.Is(err, fs.ErrNotExist) {
				gaps = append(gaps, nsinspect.Gap{Subject: file, Fact: "grants", Error: reason(err)})
			}
			return nil
		}
		ids, _ := idmap.ParseSubIDs(bytes.NewReader(text)) // lines that cannot be read grant nothing
		return ids
	}
	f.SubUID, f.SubGID = read("/etc/subuid"), read("/etc/subgid")
	if !f.Host || a.hostRoot != "/" {
		return gaps
	}
	caller, err := runner.ReadCaller()
	if err != nil {
		return append(gaps, nsinspect.Gap{Subject: hostTarget, Fact: "newuidmap and newgidmap", Error: err.Error()})
	}
	for _, p := range []struct {
		name, path string
		*idmap.Newidmap
	}{{"newuidmap", caller.NewuidmapPath, &caller.Newuidmap}, {"newgidmap", caller.NewgidmapPath, &caller.Newgidmap}} {
		if p.Installed {
			f.Newidmap = append(f.Newidmap, doctor.Program{Name: p.name, Path: p.path, SetID: p.SetID, FileCaps: p.FileCaps})
		}
	}
	return gaps
}

// answers walks every path of the plan for every subject of its container.
func answers(ctx context.Context, probe prober, f *doctor.Facts, plan *doctor.Plan) (gaps []nsinspect.Gap) {
	asked := map[int][]*access.Subject{}
	for i := range plan.Subjects {
		ask := &plan.Subjects[i]
		paths := plan.PathsOf(ask.Container)
		if len(paths) == 0 {
			continue
		}
		subject, err := subjectOf(ctx, probe, f.Snapshot, ask)
		if ctx.Err() != nil {
			return gaps
		}
		switch {
		case gone(err) && ask.PID != f.Snapshot.Containers[ask.Container].InitPID:
			continue
		case err != nil:
			gaps = append(gaps, doctorGap(ask.Target, ask.PID, "access", err))
			continue
		case doctor.Known(asked[ask.Container], subject):
			continue
		}
		asked[ask.Container] = append(asked[ask.Container], subject)
		for _, path := range paths {
			walk, err := probe.Walk(ctx, subject, doctor.WalkFor(), path)
			switch {
			case ctx.Err() != nil:
				return gaps
			case gone(err):
			case err != nil:
				gaps = append(gaps, doctorGap(ask.Target+":"+path, ask.PID, "access", err))
			default:
				f.Answers = append(f.Answers, doctor.Answer{Container: ask.Container, Path: path, Primary: ask.Primary, Subject: subject, Walk: walk})
			}
		}
	}
	return gaps
}

// samples walks to one file of each sort that was counted.
func samples(ctx context.Context, probe prober, f *doctor.Facts) []nsinspect.Gap {
	asks, paths, gaps := f.SampleAsks()
	for i := range asks {
		s := &asks[i]
		walk, err := probe.Walk(ctx, s.Subject, doctor.WalkFor(), paths[i])
		switch {
		case ctx.Err() != nil:
			return gaps
		case gone(err):
		case err != nil:
			gaps = append(gaps, doctorGap(s.Subject.Target+":"+paths[i], s.Subject.PID, "access", err))
		default:
			s.Walk = walk
			f.Samples = append(f.Samples, *s)
		}
	}
	return gaps
}

func subjectOf(ctx context.Context, p prober, s *nsinspect.Snapshot, ask *doctor.SubjectAsk) (*access.Subject, error) {
	if ask.PID == 0 {
		return p.Stopped(ctx, &s.Containers[ask.Container], ask.Target)
	}
	subject, err := p.Process(ctx, ask.PID, ask.Target)
	if err != nil || ask.User == "" {
		return subject, err
	}
	return p.As(ctx, subject, ask.User)
}

// gone reports whether a process ended meanwhile: then it is simply not there.
func gone(err error) bool { return errors.Is(err, unix.ESRCH) || errors.Is(err, fs.ErrNotExist) }

// ended reports whether an error says that there is no such process, and not that it has no such file.
func ended(err error, pid int) bool {
	var file *fs.PathError
	return errors.Is(err, unix.ESRCH) || errors.Is(err, fs.ErrNotExist) && errors.As(err, &file) && filepath.Base(file.Path) == strconv.Itoa(pid)
}

func doctorGap(subject string, pid int, fact string, err error) nsinspect.Gap {
	g := nsinspect.Gap{Subject: subject, PID: pid, Fact: fact, Error: err.Error()}
	switch {
	case errors.Is(err, fs.ErrPermission):
		g.Error, g.Hint = reason(err), "run as root"
	case pid > 0 && ended(err, pid):
		g.Error, g.Hint = "it ended while nsview looked", "ask again"
	}
	return g
}
