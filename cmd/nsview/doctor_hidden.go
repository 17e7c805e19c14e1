package main

import (
	"context"
	"os"
	"slices"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"github.com/nsview/nsview/nsinspect"
	"github.com/nsview/nsview/nsinspect/doctor"
	"github.com/nsview/nsview/procscan"
	"github.com/nsview/nsview/procscan/pathwalk"
)

// Bounds of what is listed of a directory that a volume hides, and named.
const (
	maxHidden = 1000
	hiddenFew = 3
)

// hiddenFiles looks for what containers have below their volumes, in the layers of their root file system. A layer that
// cannot be reached from here says nothing, which is no gap: what it hides is only worth knowing.
func (a *app) hiddenFiles(ctx context.Context, f *doctor.Facts, atlas *nsinspect.Atlas, plan *doctor.Plan) {
	s := f.Snapshot
	overlays := atlas.Overlays()
	for i := range plan.Paths {
		path := &plan.Paths[i]
		c := &s.Containers[path.Container]
		if !path.Hides || !c.Running() || ctx.Err() != nil {
			continue
		}
		inside, err := namesIn(ctx, a.proc+"/"+strconv.Itoa(c.InitPID)+"/root", path.Path)
		if err != nil || len(inside) >= maxHidden {
			continue
		}
		for _, below := range doctor.Below(s, atlas, overlays, path) {
			root := a.hostRoot
			if below.Layer != "" {
				root = below.Layer
			}
			names, err := namesIn(ctx, root, below.Path)
			if err != nil {
				continue
			}
			names = slices.DeleteFunc(names, func(name string) bool { return slices.Contains(inside, name) })
			if len(names) == 0 {
				continue
			}
			slices.Sort(names)
			f.Hidden = append(f.Hidden, doctor.Hidden{
				Container: path.Container, Path: path.Path, Layer: below.String(), Names: names[:min(len(names), hiddenFew)], More: len(names) > hiddenFew,
			})
			break
		}
	}
}

// namesIn lists a directory as a process with that root directory resolves it, without the marks of overlays for what
// is deleted.
func namesIn(ctx context.Context, rootDir, path string) ([]string, error) {
	return procscan.InTime(ctx, time.Second, func() ([]string, error) {
		root, err := procscan.OpenRoot(rootDir)
		if err != nil {
			return nil, err
		}
		defer root.Close()
		fd, err := root.OpenPath(path, unix.O_DIRECTORY, 0)
		if err != nil {
			return nil, err
		}
		defer unix.Close(fd)
		in, err := unix.Openat(fd, ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		if err != nil {
			return nil, err
		}
		dir := os.NewFile(uintptr(in), path)
		defer dir.Close()
		names, err := dir.Readdirnames(maxHidden)
		if len(names) == 0 && err != nil {
			return nil, err
		}
		return slices.DeleteFunc(names, func(name string) bool { return pathwalk.IsWhiteout(in, name) }), nil
	})
}
