package main

import (
	"os/exec"
	"testing"

	"github.com/nsview/nsview/nsinspect"
	"github.com/nsview/nsview/procscan"
)

// A process that ended is not mistaken for another that has its PID.
func TestHeldProcess(t *testing.T) {
	child := exec.Command("sleep", "3600")
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	ended := false
	end := func() {
		if !ended {
			_ = child.Process.Kill()
			_ = child.Wait()
			ended = true
		}
	}
	defer end()
	s, err := procscan.Scan(t.Context(), procscan.Options{Proc: "/proc", HostRoot: "/"})
	if err != nil {
		t.Fatal(err)
	}
	p := s.Process(child.Process.Pid)
	if p == nil {
		t.Fatal("the child is not in the snapshot")
	}
	held, err := holdProcess("/proc", p)
	if err != nil {
		t.Fatal(err)
	}
	defer held.close()
	if !held.alive() {
		t.Error("a living process is taken for dead")
	}
	other := nsinspect.Process{PID: p.PID, StartTime: p.StartTime + 1}
	if h, err := holdProcess("/proc", &other); err == nil {
		h.close()
		t.Error("a process with another start time is taken for the same")
	}
	end()
	if held.alive() {
		t.Error("a process that ended is taken for alive")
	}
}
