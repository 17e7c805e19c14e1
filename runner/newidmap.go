package runner

import (
	"bytes"
	"fmt"
	"os/exec"
	"strconv"
	"strings"

	"github.com/nsview/nsview/idmap"
)

// newidmap writes a map through newuidmap(1) or newgidmap(1), by its absolute path and with an empty environment.
func newidmap(path string, pid int, m idmap.Map) error {
	args := []string{strconv.Itoa(pid)}
	for _, e := range m {
		args = append(args, e.Inside.String(), e.Outside.String(), strconv.FormatUint(uint64(e.Count), 10))
	}
	cmd := exec.Command(path, args...)
	cmd.Env = []string{}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s %s: %w: %s", path, strings.Join(args, " "), err, strings.TrimSpace(stderr.String()))
	}
	return nil
}
