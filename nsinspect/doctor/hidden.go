package doctor

import (
	"fmt"
	"strings"
)

// hidden finds volumes that are mounted over files of the image.
func (j *judge) hidden(i int) {
	for n := range j.Hidden {
		h := &j.Hidden[n]
		if h.Container != i || len(h.Names) == 0 {
			continue
		}
		names := strings.Join(h.Names, ", ")
		if h.More {
			names += ", ..."
		}
		j.add(Finding{
			ID: Hides, Severity: Info, Target: j.viewers[i], Path: h.Path,
			Evidence: fmt.Sprintf("the container's own file system has %s there, which the volume does not (in %s)", names, h.Layer),
			Meaning:  "the container sees only the volume; a bind mount stays as empty as its source, a named volume of docker or podman is filled from the image only while it is empty",
		})
	}
}
