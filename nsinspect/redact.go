package nsinspect

// Redact drops from s what may hold secrets: the command lines and the values of labels. What a process calls itself
// (comm) stays.
func (s *Snapshot) Redact() {
	for i := range s.Processes {
		s.Processes[i].Args = nil
	}
	for i := range s.Containers {
		for name := range s.Containers[i].Labels {
			s.Containers[i].Labels[name] = ""
		}
	}
}
