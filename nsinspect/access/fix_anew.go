package access

import (
	"fmt"

	"github.com/nsview/nsview/nsinspect"
	"github.com/nsview/nsview/nsinspect/shell"
)

// anew is how a subject is started with another setting, for each who may have started it. "": it cannot be told so.
type anew struct {
	run     string // options of docker run and podman run
	podman  string // options of podman run, where docker has none for it or others
	compose string // keys of a service
	pod     string // fields of the securityContext of a pod
	nsview  string // options of nsview run
	process string // a sentence about a process that no engine started
}

// how is the sentence that says it, "" when it is not known how. What the engine was told besides is not known here, so
// that a command would be a wrong one.
func (s *Subject) how(a anew) string {
	c := s.Container
	e := s.engine()
	if c != nil && c.Project() != "" && a.compose != "" && (e == "docker" || e == "podman") {
		return fmt.Sprintf("give service %s of the compose project %s: %s, and run compose up -d again", shell.Arguments(c.Service()), shell.Arguments(c.Project()), a.compose)
	}
	if e == "podman" && a.podman != "" {
		a.run = a.podman
	}
	switch {
	case e == "kubernetes" && a.pod != "":
		return fmt.Sprintf("set in the securityContext of pod %s: %s", shell.Arguments(c.Pod.Namespace+"/"+c.Pod.Name), a.pod)
	case (e == "docker" || e == "podman") && a.run != "":
		return fmt.Sprintf("add to the options of the %s run that made it: %s", e, a.run)
	case e == "nsview" && a.nsview != "":
		return "add to the options of its nsview run: " + a.nsview
	case e == "" && a.process != "":
		return a.process
	}
	return ""
}

// volumeSpec is a volume with another option ("" for none), as -v and --bind take it.
func volumeSpec(v *nsinspect.EngineMount, option string) string {
	spec := v.Source + ":" + v.Destination
	if v.Type == "volume" && v.Name != "" {
		spec = v.Name + ":" + v.Destination
	}
	if option != "" {
		spec += ":" + option
	}
	return shell.Arguments(spec)
}

// volumeHow says how a volume is mounted with another option.
func (s *Subject) volumeHow(v *nsinspect.EngineMount, option string) string {
	spec := volumeSpec(v, option)
	switch e := s.engine(); {
	case option == "" && (e == "docker" || e == "podman"), e == "podman":
		if s.Container.Project() != "" {
			return s.how(anew{compose: "the volume " + spec})
		}
		return fmt.Sprintf("have it mounted with -v %s by the %s run that makes it", spec, e)
	case e == "kubernetes" && option == "":
		return fmt.Sprintf("set readOnly: false in the volumeMount of %s in pod %s", shell.Arguments(v.Destination), shell.Arguments(s.Container.Pod.Namespace+"/"+s.Container.Pod.Name))
	case (e == "nspawn" || e == "systemd-nspawn") && option != "U":
		return "have it mounted with --bind=" + spec + " by systemd-nspawn"
	}
	return ""
}
