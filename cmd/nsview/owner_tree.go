package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/nsview/nsview/idmap"
	"github.com/nsview/nsview/nsinspect"
	"github.com/nsview/nsview/procscan"
	"github.com/nsview/nsview/procscan/pathwalk"
)

// ownerTrees is owner -R: every directory is walked, and summed up or, as JSON lines, listed.
func (a *app) ownerTrees(ctx context.Context, q *ownerAsk, dirs []string) error {
	answerInterrupts(ctx)
	report := nsinspect.OwnerSummary{Report: q.s.Report("OwnerSummary"), Trees: []nsinspect.TreeOwners{}}
	scanned := len(q.s.Gaps)
	var errs []error
	for _, dir := range dirs {
		w := pathwalk.New(q.s, q.atlas, a.proc)
		at, err := q.ask(dir)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		ask := pathwalk.TreeAsk{Ask: at, OneFS: q.flags.oneFS}
		walk := q.sumTree
		if a.output == "jsonl" {
			walk = q.listTree
		}
		tree, gaps, err := walk(ctx, w, ask)
		report.Gaps = append(report.Gaps, gaps...)
		if err != nil && ctx.Err() == nil {
			errs = append(errs, fileError(dir, err))
		}
		if tree != nil {
			report.Trees = append(report.Trees, *tree)
		}
		if ctx.Err() != nil {
			break
		}
	}
	report.Gaps = append(report.Gaps, q.s.Gaps[scanned:]...)
	report.Partial = tellsPart(ctx)
	if err := a.printTrees(&report, len(dirs) > 1); err != nil {
		return err
	}
	return a.ownerStatus(ctx, errs, report.Gaps)
}

// pairKey is an owner pair in one region of a tree, as it is seen there.
type pairKey struct {
	region *pathwalk.Region
	ids    nsinspect.RawIDs
	like   likeness // the zero value where files are told apart by their owners alone
}

// likeness is what the kernel looks at besides the owners of a file, as far as a walk of the tree tells.
type likeness struct {
	mode uint32 // with the type
	top  bool   // the top of the tree
}

// pairCache has what belongs to the owner pairs that came last: the files of a directory have few, in any order, and to
// look each up in a map would be a tenth of the work on it here.
type pairCache[T any] [16]struct {
	key   pairKey
	value *T // nil: empty
}

// place is the one where a pair may be.
func (c *pairCache[T]) place(k *pairKey) uint32 {
	return (k.ids.UID + 7*k.ids.GID + k.like.mode) % uint32(len(c))
}

// get is nil for a pair that did not come lately.
func (c *pairCache[T]) get(k *pairKey) *T {
	if at := &c[c.place(k)]; at.key == *k {
		return at.value
	}
	return nil
}

func (c *pairCache[T]) put(k *pairKey, value *T) {
	at := &c[c.place(k)]
	at.key, at.value = *k, value
}

// maxPairs bounds the owner pairs that a worker tells apart. The files of others are counted together.
const maxPairs = 20_000

// pairTotal is the files that there are of an owner pair, and the path of one.
type pairTotal struct {
	nsinspect.Amount
	example string
}

// pairCounter counts for one worker of a walk. It is locked because a walk that was interrupted does not wait for it.
type pairCounter struct {
	mu     sync.Mutex
	top    string // of the tree
	modes  bool   // files are told apart by their likeness too
	counts map[pairKey]*pairTotal
	recent pairCache[pairTotal] // of counts
	rest   uint64               // files of pairs beyond maxPairs
}

func (c *pairCounter) add(b *pathwalk.Batch) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range b.Entries {
		e := &b.Entries[i]
		k := pairKey{region: b.Region, ids: nsinspect.RawIDs{UID: e.UID, GID: e.GID}}
		if c.modes {
			k.like = likeness{mode: e.Mode, top: len(e.Name) == 0}
		}
		n := c.recent.get(&k)
		if n == nil {
			if n = c.counts[k]; n == nil {
				if len(c.counts) >= maxPairs {
					c.rest++
					continue
				}
				n = &pairTotal{example: c.top}
				if len(e.Name) > 0 {
					n.example = strings.TrimRight(c.top, "/") + "/" + strings.TrimLeft(string(append(b.AppendDir(nil), e.Name...)), "/")
				}
				c.counts[k] = n
			}
			c.recent.put(&k, n)
		}
		n.Add(nsinspect.Amount{Files: 1, Bytes: e.Size})
	}
}

// countPairs walks a tree and counts its files by owner pair, with modes also by their likeness. With an error there are none, unless the walk was
// interrupted: then they are those of the files that it came to.
func countPairs(ctx context.Context, w *pathwalk.Walker, ask pathwalk.TreeAsk, modes bool) (map[pairKey]pairTotal, []nsinspect.Gap, error) {
	var counters [pathwalk.TreeWorkers]pairCounter
	for i := range counters {
		counters[i].counts, counters[i].top, counters[i].modes = map[pairKey]*pairTotal{}, ask.Path, modes
	}
	ask.Each = func(worker int, b *pathwalk.Batch) { counters[worker].add(b) }
	gaps, err := w.Tree(ctx, ask)
	if err != nil && ctx.Err() == nil {
		return nil, gaps, err
	}
	total, rest := map[pairKey]pairTotal{}, uint64(0)
	for i := range counters {
		c := &counters[i]
		c.mu.Lock()
		for k, n := range c.counts {
			sum := total[k]
			if sum.Files == 0 || n.example < sum.example {
				sum.example = n.example
			}
			sum.Add(n.Amount)
			total[k] = sum
		}
		rest += c.rest
		c.mu.Unlock()
	}
	if rest > 0 {
		gaps = append(gaps, nsinspect.Gap{Subject: ask.Path, Fact: "owners", Error: fmt.Sprintf("%d files are of more than %d owner pairs, and not in the sum", rest, maxPairs)})
	}
	return total, gaps, err
}

// sumTree walks a tree and adds it up by owner pair. With an error the tree is nil, unless the walk was interrupted.
func (q *ownerAsk) sumTree(ctx context.Context, w *pathwalk.Walker, ask pathwalk.TreeAsk) (*nsinspect.TreeOwners, []nsinspect.Gap, error) {
	wipe := q.app.progress("walking " + ask.Path)
	total, gaps, err := countPairs(ctx, w, ask, false)
	wipe()
	if total == nil {
		return nil, gaps, err
	}
	keys := make([]pairKey, 0, len(total))
	for k := range total {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b pairKey) int {
		return cmp.Or(cmp.Compare(a.region.Rel, b.region.Rel), cmp.Compare(a.ids.UID, b.ids.UID), cmp.Compare(a.ids.GID, b.ids.GID))
	})
	q.namePairs(context.WithoutCancel(ctx), keys)
	sum := nsinspect.NewTreeSum(ask.Path)
	for _, k := range keys {
		owners, host, unknown := q.viewers.Pair(k.region.Facts, k.ids)
		sum.Add(total[k].Amount, host, &owners)
		gaps = append(gaps, unknown...)
	}
	tree := sum.Tree(ctx.Err() != nil)
	return &tree, gaps, err
}

// namePairs asks the name service for those whom the host's files do not name.
func (q *ownerAsk) namePairs(ctx context.Context, keys []pairKey) {
	names := q.s.NamesAt(q.s.Observer.Names)
	if names == nil {
		return
	}
	var uids, gids []idmap.Inside
	for _, k := range keys {
		owners, _, _ := q.viewers.Pair(k.region.Facts, k.ids)
		for i := range owners.Views {
			if v := &owners.Views[i]; v.PID == nil {
				uids, gids = append(uids, v.UID), append(gids, v.GID)
			}
		}
	}
	q.s.Gaps = append(q.s.Gaps, procscan.LookupNames(ctx, q.app.hostRoot, names, uids, gids)...)
}

func (a *app) printTrees(r *nsinspect.OwnerSummary, several bool) error {
	switch {
	case a.output == "jsonl":
		return nil // printed as they were found
	case a.structured():
		return a.printData(a.out, r, r.Trees)
	}
	if len(r.Trees) == 0 {
		return nil
	}
	if err := a.printTable(a.out, treeTable(r, several || a.columns != "", a.wide())); err != nil || a.columns != "" {
		return err
	}
	if _, err := fmt.Fprintln(a.out); err != nil {
		return err
	}
	if err := treeViewerTable(r, several).Render(a.out, a.tableOptions()); err != nil {
		return err
	}
	for i := range r.Trees {
		t := &r.Trees[i]
		for _, text := range t.Assumptions {
			a.warn("%s: assumed that %s", t.Path, text)
		}
		if t.Partial {
			a.warn("%s: interrupted, this is what was counted until then", t.Path)
		}
	}
	return nil
}
