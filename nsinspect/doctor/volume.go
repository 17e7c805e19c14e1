package doctor

import (
	"slices"
	"strings"

	"github.com/nsview/nsview/nsinspect"
)

// Volumes are what was mounted into a container for its files: binds and volumes of the host, and the temporary and
// overlay file systems that its engine made for it. The engine's own files (/etc/hosts, ...) and what shows the kernel's
// state are none.
func Volumes(s *nsinspect.Snapshot, container int) []nsinspect.Volume {
	c := &s.Containers[container]
	list := slices.DeleteFunc(s.Volumes(c), func(v nsinspect.Volume) bool {
		return c.OwnMount(v.Point) || inKernelTree(v.Point) && !isDevice(v.Point)
	})
	table := s.Mounts(c.MountTable)
	if table == nil || c.Engine == "" || c.MountTable == s.Observer.MountTable {
		return list
	}
	for i := range table.Mounts {
		m := &table.Mounts[i]
		known := slices.ContainsFunc(list, func(v nsinspect.Volume) bool { return v.Point == m.Point })
		if m.Point == "/" || known || inKernelTree(m.Point) || m.FSType != "tmpfs" && m.FSType != "overlay" || c.OwnMount(m.Point) || c.Engine == "nsview" {
			continue
		}
		if asked := slices.ContainsFunc(c.Mounts, func(e nsinspect.EngineMount) bool { return e.Destination == m.Point }); !asked {
			continue // the engine's own: /run, /tmp, ...
		}
		list = append(list, nsinspect.Volume{Point: m.Point, Dev: m.Dev, Root: m.Root, ReadOnly: readOnlyMount(m), Idmapped: m.Idmapped})
	}
	return list
}

// volumes are the Volumes of a container. They are looked for once: that goes through all mounts of the host.
func (j *judge) volumes(i int) []nsinspect.Volume {
	list, ok := j.vols[i]
	if !ok {
		list = Volumes(j.s, i)
		j.vols[i] = list
	}
	return list
}

func readOnlyMount(m *nsinspect.Mount) bool {
	return slices.Contains(m.Options, "ro") || slices.Contains(m.SuperOpts, "ro")
}

// inKernelTree reports whether a path is where the kernel's state is.
func inKernelTree(path string) bool {
	return slices.ContainsFunc([]string{"/proc", "/sys", "/dev"}, func(dir string) bool { return within(dir, path) })
}

// isDevice reports whether a path in /dev is of one of the devices that are given to containers.
func isDevice(path string) bool {
	return slices.ContainsFunc(deviceDirs(), func(dir string) bool { return within(dir, path) })
}

// systemTree reports whether a path of the host is of its operating system: nobody expects a container to write there.
func systemTree(source string) bool {
	if source == "/" {
		return true
	}
	return slices.ContainsFunc([]string{"/bin", "/boot", "/dev", "/etc", "/lib", "/lib64", "/proc", "/sbin", "/sys", "/usr"}, func(dir string) bool {
		return within(dir, source)
	})
}

// within reports whether path is dir or below it. dir does not end in a slash.
func within(dir, path string) bool {
	rest, ok := strings.CutPrefix(path, dir)
	return ok && (rest == "" || rest[0] == '/')
}
