package proctest

import (
	"bufio"
	"io"
	"os/exec"
	"testing"
)

// Start starts a command that a test talks to, and ends it with the test: its stdin is closed, and it is killed.
func Start(t testing.TB, cmd *exec.Cmd) (stdin io.Writer, stdout *bufio.Reader) {
	t.Helper()
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = in.Close()
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	return in, bufio.NewReader(out)
}
