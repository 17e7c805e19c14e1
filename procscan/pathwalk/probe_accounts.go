package pathwalk

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/nsview/nsview/idmap"
	"github.com/nsview/nsview/nsinspect"
	"github.com/nsview/nsview/nsinspect/access"
	"github.com/nsview/nsview/procscan"
)

// accounts are the text of a container's own passwd and group: hostile, and read with a cap.
type accounts struct{ passwd, group string }

const maxAccounts = 4 << 20

// readAccounts reads both files. One that is not there names nobody, as for engines: an image may have none.
func readAccounts(read func(name string) ([]byte, error)) (accounts, error) {
	var a accounts
	for name, into := range map[string]*string{"/etc/passwd": &a.passwd, "/etc/group": &a.group} {
		text, err := read(name)
		if err != nil && !absent(err) {
			return a, err
		}
		*into = string(text)
	}
	return a, nil
}

// names are the names of both files by id.
func (a accounts) names() *nsinspect.NameTable {
	return &nsinspect.NameTable{Users: procscan.ParseNames([]byte(a.passwd)), Groups: procscan.ParseNames([]byte(a.group))}
}

// accountsOf are those of a running process.
func (p *probe) accountsOf(s *access.Subject) (accounts, error) {
	root, err := procscan.OpenRoot(p.proc + "/" + strconv.Itoa(s.PID) + "/root")
	if err != nil {
		return accounts{}, err
	}
	defer root.Close()
	return readAccounts(func(name string) ([]byte, error) { return root.ReadFile(name, maxAccounts) })
}

// gidOf resolves a group: a name or a number.
func (a accounts) gidOf(group string) (idmap.Inside, error) {
	if id, err := strconv.ParseUint(group, 10, 32); err == nil {
		return idmap.Inside(id), nil
	}
	_, gid, _, err := a.find("0", group, true)
	return gid, err
}

// find resolves a user and a group as engines do: a name or a number; without a group the user's own, and with it the
// groups that list the user.
func (a accounts) find(user, group string, named bool) (uid, gid idmap.Inside, groups []idmap.Inside, err error) {
	name := ""
	id, numErr := strconv.ParseUint(user, 10, 32)
	found := false
	for line := range strings.SplitSeq(a.passwd, "\n") {
		f := strings.Split(line, ":")
		if len(f) < 4 || f[0] != user && (numErr != nil || f[2] != user) {
			continue
		}
		u, err1 := strconv.ParseUint(f[2], 10, 32)
		g, err2 := strconv.ParseUint(f[3], 10, 32)
		if err1 == nil && err2 == nil {
			name, uid, gid, found = f[0], idmap.Inside(u), idmap.Inside(g), true
			break
		}
	}
	if !found {
		if numErr != nil {
			return 0, 0, nil, fmt.Errorf("no user %q in the /etc/passwd of the target", user)
		}
		uid, gid = idmap.Inside(id), 0
	}
	for line := range strings.SplitSeq(a.group, "\n") {
		f := strings.Split(line, ":")
		if len(f) < 4 {
			continue
		}
		g, err := strconv.ParseUint(f[2], 10, 32)
		if err != nil {
			continue
		}
		if named && (f[0] == group || f[2] == group) {
			return uid, idmap.Inside(g), nil, nil
		}
		if !named && name != "" && slices.Contains(strings.Split(f[3], ","), name) {
			groups = append(groups, idmap.Inside(g))
		}
	}
	if named {
		g, err := strconv.ParseUint(group, 10, 32)
		if err != nil {
			return 0, 0, nil, fmt.Errorf("no group %q in the /etc/group of the target", group)
		}
		return uid, idmap.Inside(g), nil, nil
	}
	return uid, gid, groups, nil
}
