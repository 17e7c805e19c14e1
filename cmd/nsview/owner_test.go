package main

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// Interrupted, owner -R ends at once, also when nobody reads what it prints; what it printed is whole lines.
func TestOwnerTreeInterrupted(t *testing.T) {
	dir := t.TempDir()
	for i := range 2000 { // far more lines than a pipe holds
		if err := os.WriteFile(fmt.Sprintf("%s/%d", dir, i), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command("nsview", "owner", "-R", "-o", "jsonl", dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	line, err := bufio.NewReaderSize(out, 16).ReadString('\n')
	if err != nil || !strings.HasPrefix(line, `{"path":"`) || !strings.HasSuffix(line, "}\n") {
		t.Errorf("printed %q, %v", line, err)
	}
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	ended := make(chan int, 1)
	go func() {
		state, err := cmd.Process.Wait()
		if err != nil {
			t.Error(err)
		}
		ended <- state.ExitCode()
	}()
	select {
	case code := <-ended:
		if code != exitInterrupted {
			t.Errorf("exit status %d", code)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("it did not end")
	}
}
