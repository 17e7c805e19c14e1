package runner

import (
	"os"
	"strconv"
	"strings"
	"testing"
)

func TestLastCap(t *testing.T) {
	b, err := os.ReadFile("/proc/sys/kernel/cap_last_cap")
	if err != nil {
		t.Fatal(err)
	}
	want, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if got := lastCap(); err != nil || got != want {
		t.Errorf("lastCap() = %d, the kernel's file says %d, %v", got, want, err)
	}
}
