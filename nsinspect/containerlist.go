package nsinspect

import (
	"slices"
	"time"

	"github.com/nsview/nsview/idmap"
)

// ContainerList is the answer of nsview containers.
type ContainerList struct {
	Report
	Containers []ContainerRow `json:"containers"`
}

// ContainerRow is one container.
type ContainerRow struct {
	Engine string `json:"engine"`
	ID     string `json:"id"`
	Name   string `json:"name"`
	Viewer string `json:"viewer"` // the container as a TARGET
	EngineFacts
	Project    string        `json:"project,omitempty"` // compose project, from the labels
	Service    string        `json:"service,omitempty"` // compose service, from the labels
	InitPID    int           `json:"init_pid"`          // 0 when it is not running
	Started    *time.Time    `json:"started"`           // its init process, by the observer's clock; nil when it is not running or that is unknown
	Age        time.Duration `json:"-"`                 // of it when the snapshot was taken
	Processes  int           `json:"processes"`
	Namespaces NamespaceSet  `json:"namespaces"` // of the init process
	ActualUID  idmap.Map     `json:"uid_map"`    // of the init process, empty when it is not running
	ActualGID  idmap.Map     `json:"gid_map"`
	Volumes    []Volume      `json:"volumes"`
}

// ContainerList lists the containers, or those that the targets are or are in. What is not running is listed when all
// or a target asks for it.
func (s *Snapshot) ContainerList(targets []Target, all bool) *ContainerList {
	list := &ContainerList{Report: s.Report("ContainerList"), Containers: []ContainerRow{}}
	viewers := s.Viewers()
	for i := range s.Containers {
		c := &s.Containers[i]
		if targets == nil && !all && !c.Running() || targets != nil && !slices.ContainsFunc(targets, func(t Target) bool { return s.InContainer(&t, i) }) {
			continue
		}
		row := ContainerRow{
			Engine: c.Engine, ID: c.ID, Name: c.Name, Viewer: viewers[i], EngineFacts: c.EngineFacts,
			Project: c.Project(), Service: c.Service(), InitPID: c.InitPID, Processes: c.Processes, Namespaces: c.Namespaces, Volumes: s.Volumes(c),
		}
		if p := s.Process(c.InitPID); p != nil {
			row.Started = s.Started(p)
			row.Age = s.age(row.Started)
		}
		if maps := s.Maps(c.IDMaps); maps != nil {
			row.ActualUID, row.ActualGID = maps.UID, maps.GID
		}
		list.Containers = append(list.Containers, row)
	}
	return list
}

// InContainer reports whether t is the container with that index, its process is in it, or its namespace is.
func (s *Snapshot) InContainer(t *Target, container int) bool {
	c := &s.Containers[container]
	switch {
	case t.Container != nil:
		return t.Container == c
	case t.Namespace != 0:
		return c.Namespaces.Of(t.Type) == t.Namespace
	}
	return !t.Host && t.Process != nil && t.Process.Container == container
}
