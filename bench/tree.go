package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// makeTree makes a tree of n empty files, 500 a directory, 30 directories a directory, of 7 owners.
func makeTree(ctx context.Context, dir string, n int) error {
	leaf := ""
	for i := range n {
		if i%500 == 0 {
			if err := ctx.Err(); err != nil {
				return err
			}
			leaf = filepath.Join(dir, strconv.Itoa(i/500/30), strconv.Itoa(i/500))
			if err := os.MkdirAll(leaf, 0o755); err != nil {
				return err
			}
		}
		name := leaf + "/file-" + strconv.Itoa(i)
		f, err := os.Create(name)
		if err != nil {
			return err
		}
		err = f.Chown(1000+i%7, 1000)
		if err := errors.Join(err, f.Close()); err != nil {
			return err
		}
	}
	return nil
}

// coldStage is the argument by which bench starts itself in a mount namespace of its own: the mount of a cold file
// system is nobody else's, and gone when the process is.
const coldStage = "cold"

// coldRows measure a file system that nothing of is in memory: an ext4 image that is mounted anew before every run,
// with the image's own pages dropped.
func coldRows(ctx context.Context, o *options, r *report, dir string) error {
	if !o.wants(treeCold) {
		return nil
	}
	for _, program := range []string{"mkfs.ext4", "mount", "umount"} {
		if err := missing(program); err != nil {
			r.leftOut(treeCold, err)
			return nil
		}
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, self, coldStage, o.nsview, dir, strconv.Itoa(o.files), strconv.Itoa(min(o.rounds, 5)))
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	out, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("the cold file system: %w", err)
	}
	res := result{row: row{name: treeCold, size: o.files, unit: "files", peer: []string{"find"}, wall: 0.8, memory: 24 << 20}}
	if err := json.Unmarshal(out, &res.measured); err != nil {
		return err
	}
	r.add(res)
	return nil
}

// dropFile drops what is in memory of a file.
func dropFile(name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := f.Sync(); err != nil { // only what is written can be dropped
		return err
	}
	return unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED)
}

// coldMain is the cold stage: NSVIEW DIR FILES ROUNDS.
func coldMain(args []string) int {
	took, err := cold(args)
	if err == nil {
		err = json.NewEncoder(os.Stdout).Encode(took)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		return 2
	}
	return 0
}

func cold(args []string) (*measured, error) {
	if len(args) != 4 {
		return nil, fmt.Errorf("%s takes 4 operands", coldStage)
	}
	files, err := strconv.Atoi(args[2])
	if err != nil {
		return nil, err
	}
	rounds, err := strconv.Atoi(args[3])
	if err != nil {
		return nil, err
	}
	ctx := context.Background()
	image, at := args[1]+"/image", args[1]+"/mnt"
	command := func(argv ...string) error {
		out, err := exec.CommandContext(ctx, argv[0], argv[1:]...).CombinedOutput()
		if err != nil {
			return fmt.Errorf("%s: %w: %s", argv[0], err, out)
		}
		return nil
	}
	if err := os.Mkdir(at, 0o755); err != nil {
		return nil, err
	}
	// An inode and its share of a directory are some 300 bytes.
	f, err := os.Create(image)
	if err != nil {
		return nil, err
	}
	err = f.Truncate(256<<20 + int64(files)*1024)
	if err := errors.Join(err, f.Close()); err != nil {
		return nil, err
	}
	if err := command("mount", "--make-rprivate", "/"); err != nil {
		return nil, err
	}
	if err := command("mkfs.ext4", "-q", "-N", strconv.Itoa(files+files/100+1000), image); err != nil {
		return nil, err
	}
	if err := command("mount", "-o", "loop", image, at); err != nil {
		return nil, err
	}
	if err := makeTree(ctx, at+"/tree", files); err != nil {
		return nil, err
	}
	r := row{
		peer: []string{"find", at + "/tree", "-printf", `%U %G %m %p\n`},
		ours: []string{args[0], "owner", "-R", at + "/tree"},
		before: func() error {
			if err := command("umount", at); err != nil {
				return err
			}
			if err := dropFile(image); err != nil {
				return err
			}
			return command("mount", "-o", "loop", image, at)
		},
	}
	took, err := measure(ctx, r, rounds)
	if err != nil {
		return nil, err
	}
	return &took, command("umount", at)
}
