package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
)

// What access --batch is asked of one container: batchEach questions about each of batchFiles files.
const (
	batchFiles = 1000
	batchEach  = 20
)

const batchName = "access --batch"

// batchRow is about many questions to one process, which has one processor. Of what people use namei(1) comes nearest: it
// tells the owners and modes on the way to a file, and judges nothing.
func batchRow(ctx context.Context, o *options, r *report) error {
	if !o.wants(batchName) {
		return nil
	}
	dir, remove, err := scratch()
	if err != nil {
		return err
	}
	defer remove()
	paths, err := batchTree(dir)
	if err != nil {
		return err
	}
	target, end, err := batchTarget()
	if err != nil {
		return err
	}
	defer end()
	questions := dir + "/questions"
	if err := os.WriteFile(questions, batchQuestions(target, paths), 0o600); err != nil {
		return err
	}
	peer := []string{"namei", "-l"}
	for range batchEach {
		peer = append(peer, paths...)
	}
	return r.measure(ctx, []row{{
		name: batchName, size: batchFiles * batchEach, unit: "questions", rate: 5000, peer: peer,
		ours: []string{"sh", "-c", `GOMAXPROCS=1 exec "$0" access --batch <"$1"`, o.nsview, questions},
	}})
}

// batchTree makes the files, a few directories deep.
func batchTree(dir string) (paths []string, err error) {
	if err := os.Chmod(dir, 0o755); err != nil {
		return nil, err
	}
	dir = filepath.Join(dir, "a/b/c")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	for i := range batchFiles {
		path := dir + "/file-" + strconv.Itoa(i)
		if err := os.WriteFile(path, nil, 0o644); err != nil {
			return nil, err
		}
		paths = append(paths, path)
	}
	return paths, nil
}

// batchTarget starts a process in a user and a mount namespace of its own, whose root owns the files.
func batchTarget() (pid int, end func(), err error) {
	cmd := exec.Command("sleep", "infinity")
	own := []syscall.SysProcIDMap{{Size: 1}}
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS, UidMappings: own, GidMappings: own, Pdeathsig: syscall.SIGKILL,
	}
	if err := cmd.Start(); err != nil {
		return 0, nil, fmt.Errorf("start a container: %w", err)
	}
	return cmd.Process.Pid, func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}, nil
}

// batchQuestions are the lines that nsview reads.
func batchQuestions(target int, paths []string) []byte {
	type question struct {
		ID     string   `json:"id"`
		Target string   `json:"target"`
		Op     string   `json:"op"`
		Path   string   `json:"path"`
		Args   []string `json:"args,omitempty"`
	}
	var lines bytes.Buffer
	out := json.NewEncoder(&lines)
	ops := []question{{Op: "read"}, {Op: "write"}, {Op: "unlink"}, {Op: "chmod", Args: []string{"0600"}}}
	for i := range batchEach * len(paths) {
		q := ops[i%len(ops)]
		q.ID, q.Target, q.Path = strconv.Itoa(i), strconv.Itoa(target), paths[i%len(paths)]
		_ = out.Encode(q) // to memory
	}
	return lines.Bytes()
}
