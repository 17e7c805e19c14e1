package doctor

import (
	"fmt"

	"github.com/nsview/nsview/idmap"
)

// names finds volumes whose owner has one number and two names: that of the host's users and that of the container's. No
// check of the kernel fails by it, so there is no fix.
func (j *judge) names(i int) {
	said := map[string]bool{}
	for _, a := range j.answersOf(i, true) {
		node := a.Walk.Reached()
		if node == nil || said[a.Path] || a.Subject.Names == nil || !node.UID.Known || !node.UID.Seen.Mapped() {
			continue
		}
		if a.Subject.UserNS == 0 || a.Subject.UserNS != j.s.Observer.UserNS {
			continue // two numbers anyway
		}
		id := node.UID.Seen
		host, inside := j.s.HostUser(id), a.Subject.Names.Users[idmap.Inside(id)]
		if host == "" || inside == "" || host == inside {
			continue
		}
		said[a.Path] = true
		j.add(Finding{
			ID: NameDiffers, Severity: Info, Target: j.viewers[i], Path: a.Path,
			Evidence: fmt.Sprintf("its owner is uid %v, which the host calls %s and the container %s", id, host, inside),
			Meaning:  "they are one user: the kernel compares numbers, and each side reads the name in its own /etc/passwd",
		})
	}
}
