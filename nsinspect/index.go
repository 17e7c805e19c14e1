package nsinspect

import "sort"

// Process is the process with that PID, nil when the snapshot has none. Processes are ordered by PID.
func (s *Snapshot) Process(pid int) *Process {
	if i := s.processIndex(pid); i >= 0 {
		return &s.Processes[i]
	}
	return nil
}

// processIndex is where in Processes that is, -1 when it is not there.
func (s *Snapshot) processIndex(pid int) int {
	// Not BinarySearchFunc, which copies a process for each comparison.
	i := sort.Search(len(s.Processes), func(i int) bool { return s.Processes[i].PID >= pid })
	if i < len(s.Processes) && s.Processes[i].PID == pid {
		return i
	}
	return -1
}

// Namespace is the namespace with that inode, nil when the snapshot's list (fact Graph) has none.
func (s *Snapshot) Namespace(inode Inode) *Namespace {
	if inode == 0 {
		return nil
	}
	for i := range s.Namespaces {
		if s.Namespaces[i].Inode == inode {
			return &s.Namespaces[i]
		}
	}
	return nil
}

// ContainerOf is the container that p is in, nil for the host's own.
func (s *Snapshot) ContainerOf(p *Process) *Container {
	if p.Container < 0 || p.Container >= len(s.Containers) {
		return nil
	}
	return &s.Containers[p.Container]
}

// Maps are the id maps with that index, nil when unknown.
func (s *Snapshot) Maps(index int) *IDMaps {
	if index < 0 || index >= len(s.IDMaps) {
		return nil
	}
	return &s.IDMaps[index]
}

// NamesAt are the user and group names with that index, nil when unknown.
func (s *Snapshot) NamesAt(index int) *NameTable {
	if index < 0 || index >= len(s.Names) {
		return nil
	}
	return &s.Names[index]
}

// Mounts is the mount table with that index, nil when unknown.
func (s *Snapshot) Mounts(index int) *MountTable {
	if index < 0 || index >= len(s.MountTables) {
		return nil
	}
	return &s.MountTables[index]
}
