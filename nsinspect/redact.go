package nsinspect

// Redact drops from s what may hold secrets: the command lines. What a process calls itself (comm) stays.
func (s *Snapshot) Redact() {
	for i := range s.Processes {
		s.Processes[i].Args = nil
	}
}
