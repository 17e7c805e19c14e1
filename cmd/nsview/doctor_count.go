package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nsview/nsview/nsinspect"
	"github.com/nsview/nsview/nsinspect/doctor"
	"github.com/nsview/nsview/procscan/pathwalk"
)

// countVolumes counts the owners of the volumes of the plan, each for at most budget.
func (a *app) countVolumes(ctx context.Context, f *doctor.Facts, atlas *nsinspect.Atlas, plan *doctor.Plan, budget time.Duration) (gaps []nsinspect.Gap) {
	s := f.Snapshot
	viewers := s.Viewers()
	for i := range plan.Paths {
		path := &plan.Paths[i]
		if !path.Count && !f.WantsFiles(path) || ctx.Err() != nil {
			continue
		}
		c := &s.Containers[path.Container]
		t := nsinspect.Target{Container: c, Process: s.Process(c.InitPID)}
		ask, ok := volumeAsk(&path.Volume, t.Process, viewers[path.Container])
		if !ok {
			continue
		}
		if path.Volume.Idmapped && path.Volume.Source != "" {
			ask = pathwalk.Ask{Path: path.Volume.Source, Target: hostTarget} // what is on disk shows only without the map
		}
		counts, more := a.countVolume(ctx, s, atlas, &t, ask, plan, path, budget)
		f.Counts = append(f.Counts, counts...)
		gaps = append(gaps, more...)
	}
	return gaps
}

func (a *app) countVolume(ctx context.Context, s *nsinspect.Snapshot, atlas *nsinspect.Atlas, t *nsinspect.Target, ask pathwalk.Ask, plan *doctor.Plan, path *doctor.PathAsk, budget time.Duration) ([]doctor.Count, []nsinspect.Gap) {
	defer a.progress("counting the files of " + ask.Target + ":" + ask.Path)()
	limited, cancel := context.WithTimeout(ctx, budget)
	defer cancel()
	pairs, gaps, err := countPairs(limited, pathwalk.New(s, atlas, a.proc), pathwalk.TreeAsk{Ask: ask, Except: volumesIn(plan, path)}, true)
	late := limited.Err() != nil && ctx.Err() == nil
	if err != nil && !late {
		if gone(err) {
			return nil, nil
		}
		return nil, append(gaps, doctorGap(ask.Target+":"+ask.Path, path.PID(s), "owners", err))
	}
	// Who else may see the files through a layer is not asked here.
	gaps = slices.DeleteFunc(gaps, func(g nsinspect.Gap) bool { return strings.HasPrefix(g.Fact, "layers of") })
	owners := s.OwnerViewers(atlas, nsinspect.OwnerQuery{Target: t})
	if late { // a file that was not come to may be the one that matters
		gaps = append(gaps, nsinspect.Gap{
			Subject: ask.Target + ":" + ask.Path, PID: path.PID(s), Fact: "all files", Error: fmt.Sprintf("not all were counted in %v", budget), Hint: "nsview doctor --budget 1m counts longer",
		})
	}
	counts := make([]doctor.Count, 0, len(pairs))
	for k, n := range pairs {
		seen, host, _ := owners.Pair(k.region.Facts, k.ids)
		c := doctor.CountOf(&seen, host, path)
		c.Files, c.Partial, c.Mode = n.Files, late, k.like.mode
		if rest, ok := strings.CutPrefix(n.example, ask.Path); ok {
			c.Example = path.Path + rest
		}
		counts = append(counts, c)
	}
	doctor.SortCounts(counts)
	return counts, gaps
}

// volumesIn are the volumes of a container that are mounted in one, as paths from there on: what is in them is counted with
// them, whose commands reach it.
func volumesIn(plan *doctor.Plan, path *doctor.PathAsk) []string {
	var inner []string
	for i := range plan.Paths {
		other := &plan.Paths[i]
		rel, ok := strings.CutPrefix(other.Path, strings.TrimRight(path.Path, "/")+"/")
		if ok && rel != "" && other.Container == path.Container {
			inner = append(inner, "/"+rel)
		}
	}
	return inner
}
