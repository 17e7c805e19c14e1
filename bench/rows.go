package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
)

func (o *options) wants(name string) bool { return strings.Contains(name, o.only) }

// wantsOf reports whether one of some rows is wanted: only then is made what they are about.
func (o *options) wantsOf(names ...string) bool { return slices.ContainsFunc(names, o.wants) }

// The rows that need much to be made for them.
const (
	psByProc    = "ps -A --source proc"
	psByBPF     = "ps -A --source bpf"
	psContainer = "ps CONTAINER"
	nsAll       = "ns"
	treeSummary = "owner -R, the summary"
	treeLines   = "owner -R -o jsonl, a line a file"
	treeCold    = "owner -R, cold ext4"
)

// startRows are about what starting costs.
func startRows(ctx context.Context, o *options, r *report) error {
	return r.measure(ctx, []row{
		{name: "--version", ours: []string{o.nsview, "--version"}, peer: []string{"lsns", "--version"}, wall: 1.3},
		{name: "owner FILE", ours: []string{o.nsview, "owner", "/etc/hostname"}, peer: []string{"lsns", "--version"}, wall: 1.3},
		{
			name: "run -- true", wall: 1.8,
			ours: []string{o.nsview, "run", "--user", "--pid", "--mount", "--map-root", "--mount-proc", "--", "true"},
			peer: []string{"unshare", "-Urpf", "--mount-proc", "true"},
		},
		{
			name: "run -- true (bwrap)",
			ours: []string{o.nsview, "run", "--user", "--pid", "--mount", "--map-root", "--mount-proc", "--", "true"},
			peer: []string{"bwrap", "--unshare-user", "--unshare-pid", "--uid", "0", "--gid", "0", "--bind", "/", "/", "--proc", "/proc", "true"},
		},
	})
}

// psColumns is what ps(1) is asked for: the columns of nsview ps, as far as it has them.
const psColumns = "pid,ppid,uid,user,pidns,userns,mntns,netns,comm"

// limit is the target by population, for the largest size that is not above it.
func limit(processes int, at map[int]float64) float64 {
	best, found := 0, 0.0
	for size, l := range at {
		if size <= processes && size > best {
			best, found = size, l
		}
	}
	return found
}

// processRows are about hosts with many processes.
func processRows(ctx context.Context, o *options, r *report) error {
	if !o.wantsOf(psByProc, psByBPF, psContainer, nsAll) {
		return nil
	}
	p, err := newPopulation()
	if err != nil {
		return err
	}
	defer p.end()
	for _, size := range o.sizes {
		if err := p.grow(ctx, size, o.per); err != nil {
			return err
		}
		fmt.Fprintf(os.Stderr, "bench: %d processes in %d containers\n", p.processes, len(p.inits))
		ps := []string{"ps", "-eo", psColumns}
		const unit = "processes"
		var memory int64
		if size >= 20_000 {
			memory = 58 << 20
		}
		container := "sh/" + strconv.Itoa(p.initPID())
		at20k := func(l float64) float64 { return limit(size, map[int]float64{20_000: l}) }
		rows := []row{
			{
				name: psByProc, size: size, unit: unit, ours: []string{o.nsview, "ps", "-A", "--source", "proc"}, peer: ps, memory: memory,
				wall: limit(size, map[int]float64{2000: 0.5, 20_000: 0.4}), cpu: at20k(0.62),
			},
			{name: psByBPF, size: size, unit: unit, ours: []string{o.nsview, "ps", "-A", "--source", "bpf"}, peer: ps, wall: at20k(0.1), memory: memory},
			{name: psContainer, size: size, unit: unit, ours: []string{o.nsview, "ps", container}, peer: ps, wall: at20k(0.03)},
			{name: nsAll, size: size, unit: unit, ours: []string{o.nsview, "ns"}, peer: []string{"lsns"}, wall: limit(size, map[int]float64{2000: 0.3, 20_000: 0.006})},
		}
		if err := r.measure(ctx, rows); err != nil {
			return err
		}
	}
	return nil
}

// fileRows are about trees of files.
func fileRows(ctx context.Context, o *options, r *report) error {
	if !o.wantsOf(treeSummary, treeLines, treeCold) {
		return nil
	}
	dir, remove, err := scratch()
	if err != nil {
		return err
	}
	defer remove()
	const unit = "files"
	fmt.Fprintln(os.Stderr, "bench: making", thousands(o.files), unit)
	if err := makeTree(ctx, dir+"/tree", o.files); err != nil {
		return err
	}
	find := []string{"find", dir + "/tree", "-printf", `%U %G %m %p\n`}
	const memory = 24 << 20
	err = r.measure(ctx, []row{
		{name: treeSummary, size: o.files, unit: unit, ours: []string{o.nsview, "owner", "-R", dir + "/tree"}, peer: find, wall: 0.52, cpu: 0.92, memory: memory},
		{name: treeLines, size: o.files, unit: unit, ours: []string{o.nsview, "owner", "-R", "-o", "jsonl", dir + "/tree"}, peer: find, wall: 0.52, cpu: 0.92, memory: memory},
	})
	if err != nil {
		return err
	}
	return coldRows(ctx, o, r, dir)
}
