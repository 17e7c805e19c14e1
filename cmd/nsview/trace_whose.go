package main

import (
	"context"
	"maps"
	"time"

	"github.com/nsview/nsview/nsinspect"
	"github.com/nsview/nsview/nsinspect/events"
)

// owners knows whose a namespace is: the host's, or that of a container.
type owners struct {
	app   *app
	at    time.Time // what was there then is known
	whose map[nsinspect.Inode]string
	none  map[nsinspect.Inode]time.Time // namespaces that were looked for in vain, and when
}

// refresh is how long a namespace of no container is not looked for again.
const refresh = time.Second

// explain adds to a setns whose the namespace is. A scan of the host takes a while: the events wait in their queue
// meanwhile.
func (o *owners) explain(ctx context.Context, e *events.Event) {
	inode := e.Entered()
	if e.Type != events.Setns || inode == 0 {
		return
	}
	name, known := o.whose[inode]
	if !known && e.Time.After(o.at) && time.Since(o.none[inode]) > refresh {
		o.scan(ctx)
		if name, known = o.whose[inode]; !known {
			o.none[inode] = o.at
		}
	}
	e.Args.Whose = name
}

func (o *owners) scan(ctx context.Context) {
	o.at = time.Now()
	maps.DeleteFunc(o.none, func(_ nsinspect.Inode, at time.Time) bool { return o.at.Sub(at) > refresh })
	s, err := o.app.snapshot(ctx, 0)
	if err != nil {
		return // the inode still says which it is
	}
	o.learn(s)
}

// learn takes from a snapshot whose its namespaces are. One that the host shares with a container is the host's.
func (o *owners) learn(s *nsinspect.Snapshot) {
	o.whose = map[nsinspect.Inode]string{}
	viewers := s.Viewers()
	for i := range s.Processes {
		p := &s.Processes[i]
		if p.Container < 0 {
			continue
		}
		for _, kind := range nsinspect.Types() {
			if inode := p.Namespaces.Of(kind); inode != 0 {
				o.whose[inode] = viewers[p.Container]
			}
		}
	}
	if host := s.Process(s.Observer.PID); host != nil {
		for _, kind := range nsinspect.Types() {
			o.whose[host.Namespaces.Of(kind)] = "host"
		}
	}
}
