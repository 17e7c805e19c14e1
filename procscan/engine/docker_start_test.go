package engine

import (
	"strings"
	"testing"
)

func TestDockerCaps(t *testing.T) {
	for _, tt := range []struct {
		host dockerHostConfig
		want string
	}{
		{dockerHostConfig{CapDrop: []string{"all"}}, ""},
		{dockerHostConfig{CapDrop: []string{"ALL"}, CapAdd: []string{"CAP_CHOWN", "kill"}}, "CAP_CHOWN CAP_KILL"},
		{dockerHostConfig{Privileged: true, CapDrop: []string{"CHOWN"}}, "ALL"},
		{dockerHostConfig{CapAdd: []string{"ALL"}, CapDrop: []string{"mknod"}}, "ALL -CAP_MKNOD"},
		{
			dockerHostConfig{CapAdd: []string{"SYS_ADMIN"}, CapDrop: []string{"NET_RAW", "CAP_MKNOD"}},
			"CAP_AUDIT_WRITE CAP_CHOWN CAP_DAC_OVERRIDE CAP_FOWNER CAP_FSETID CAP_KILL CAP_NET_BIND_SERVICE CAP_SETFCAP CAP_SETGID CAP_SETPCAP CAP_SETUID CAP_SYS_ADMIN CAP_SYS_CHROOT",
		},
	} {
		if got := strings.Join(tt.host.caps(), " "); got != tt.want {
			t.Errorf("%+v: %s, want %s", tt.host, got, tt.want)
		}
	}
}
