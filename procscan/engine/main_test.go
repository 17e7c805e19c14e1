package engine

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/nsview/nsview/nsinspect"
	"github.com/nsview/nsview/procscan"
)

// childEnv makes the test binary something else than a test.
const childEnv = "NSVIEW_TEST_CHILD"

func TestMain(m *testing.M) {
	var err error
	switch what := os.Getenv(childEnv); what {
	case "":
		os.Exit(leavingDevices(m.Run))
	case "look":
		err = lookChild()
	default:
		err = fmt.Errorf("unknown child %q", what)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// leavingDevices fails tests that end well but have left /dev/null to somebody else: engines give the standard streams of
// what they start to its user.
func leavingDevices(run func() int) int {
	owner := func() (st unix.Stat_t) {
		_ = unix.Stat("/dev/null", &st) // without it there is no owner to keep
		return st
	}
	before := owner()
	code := run()
	if after := owner(); after.Uid != before.Uid || after.Gid != before.Gid {
		fmt.Fprintf(os.Stderr, "the tests gave /dev/null to %d:%d\n", after.Uid, after.Gid)
		_ = os.Chown("/dev/null", int(before.Uid), int(before.Gid))
		return max(code, 1)
	}
	return code
}

// lookChild writes the snapshot that this process takes, with its containers.
func lookChild() error {
	s, err := snapshot(context.Background())
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(s)
}

// snapshot is this host as this process sees it, with its containers.
func snapshot(ctx context.Context) (*nsinspect.Snapshot, error) {
	s, err := procscan.Scan(ctx, procscan.Options{Facts: procscan.Args | procscan.Graph | procscan.Mounts})
	if err != nil {
		return nil, err
	}
	claims, gaps := Claims(ctx, s, Options{RuntimeDir: os.Getenv("XDG_RUNTIME_DIR")})
	s.Gaps = append(s.Gaps, gaps...)
	nsinspect.Group(s, claims)
	return s, nil
}

// lookAs is look as another user: command makes the command that runs a program as that user. The test binary is handed
// over as an open file, since its directory is closed to other users.
func lookAs(t *testing.T, command func(name string) *exec.Cmd) *nsinspect.Snapshot {
	t.Helper()
	exe, err := os.Open("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	defer exe.Close()
	cmd := command("/proc/self/fd/3")
	cmd.Env = append(cmd.Env, childEnv+"=look")
	cmd.ExtraFiles = []*os.File{exe}
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("look as another user: %v", err)
	}
	var s nsinspect.Snapshot
	if err := json.Unmarshal(out, &s); err != nil {
		t.Fatal(err)
	}
	return &s
}
