package doctor

import (
	"fmt"

	"github.com/nsview/nsview/nsinspect/access"
)

// readOnly finds directories that are mounted read-only into a container whose user owns them: writes may be meant.
func (j *judge) readOnly(i int) {
	volumes := j.volumes(i)
	said := map[string]bool{}
	for _, a := range j.answersOf(i, true) {
		v, node := volumeAt(volumes, a.Path), a.Walk.Reached()
		if v == nil || !v.ReadOnly || node == nil || node.Type != access.Directory || said[a.Path] || systemTree(v.Source) {
			continue
		}
		if !node.UID.Known || !node.UID.Seen.Mapped() || node.UID.Seen != a.Subject.Cred.UID.FS {
			continue
		}
		said[a.Path] = true
		j.add(Finding{
			ID: ReadOnly, Severity: Info, Target: j.viewers[i], Path: a.Path,
			Evidence: fmt.Sprintf("mounted read-only, and owned by %s, whom the container runs as", j.who(a.Subject)),
			Meaning:  "every write fails with EROFS, whatever owner and mode say: right if only reading is meant",
		})
	}
}
