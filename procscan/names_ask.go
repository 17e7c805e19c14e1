package procscan

import (
	"context"
	"maps"
	"sync"

	"github.com/nsview/nsview/idmap"
	"github.com/nsview/nsview/nsinspect"
)

const (
	// getents is how many getent run at a time for users, and for groups.
	getents = 2

	// fewIDs is from how many ids on a getent is worth its start, which takes as long as 20 ids do.
	fewIDs = 200

	// maxKeys is how many ids one getent gets: 12 bytes each are far from the limit of execve(2).
	maxKeys = 50_000
)

// idQueue asks the name service of the host for users or groups, by getent(1), each id once. It begins as soon as it knows
// of fewIDs, while whoever wants them still reads: a name service may take as long for an id as nsview for ten processes.
type idQueue struct {
	ctx       context.Context
	database  string                         // of getent
	files     func() map[idmap.Inside]string // what need not be asked; may take a while
	onlyFiles func() bool

	mu      sync.Mutex
	wanted  map[idmap.Inside]bool
	waiting []idmap.Inside // not asked yet
	running int
	ended   bool // no more ids come
	found   map[idmap.Inside]string
	err     error // of the first getent that failed: no other is started then

	runs sync.WaitGroup
}

func newIDQueue(ctx context.Context, database string, files func() map[idmap.Inside]string) *idQueue {
	return &idQueue{
		ctx: ctx, database: database, files: files, onlyFiles: sync.OnceValue(func() bool { return onlyFiles(database) }),
		wanted: map[idmap.Inside]bool{}, found: map[idmap.Inside]string{},
	}
}

// want asks for ids, sooner or later.
func (q *idQueue) want(ids ...idmap.Inside) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, id := range ids {
		if id.Mapped() && !q.wanted[id] {
			q.wanted[id] = true
			q.waiting = append(q.waiting, id)
		}
	}
	if q.running < getents {
		q.run()
	}
}

// wantAll is want for the ids of a process, which mostly are one.
func (q *idQueue) wantAll(ids *nsinspect.IDs) {
	one := ids.Real
	if *ids == (nsinspect.IDs{Real: one, Effective: one, Saved: one, FS: one}) {
		q.want(idmap.Inside(one))
		return
	}
	q.want(idmap.Inside(ids.Real), idmap.Inside(ids.Effective), idmap.Inside(ids.Saved), idmap.Inside(ids.FS))
}

// run starts a getent, and others after it, if there is enough to ask. The caller holds q.mu.
func (q *idQueue) run() {
	ids := q.take()
	if len(ids) == 0 {
		return
	}
	q.running++
	q.runs.Go(func() {
		for len(ids) > 0 {
			found, err := q.ask(ids)
			q.mu.Lock()
			maps.Copy(q.found, found)
			if err != nil && q.err == nil {
				q.err = err
			}
			if ids = q.take(); len(ids) == 0 {
				q.running--
			}
			q.mu.Unlock()
		}
	})
}

// take is what to ask for next: of many ids half, so that all getents end at the same time. The caller holds q.mu.
func (q *idQueue) take() []idmap.Inside {
	n := len(q.waiting)
	switch {
	case q.err != nil || n < fewIDs && !q.ended:
		return nil
	case n > 2*fewIDs:
		n = min(n/2, maxKeys)
	}
	ids := q.waiting[:n:n]
	q.waiting = q.waiting[n:]
	return ids
}

func (q *idQueue) ask(ids []idmap.Inside) (map[idmap.Inside]string, error) {
	missing := lacking(q.files(), ids)
	if len(missing) == 0 || q.onlyFiles() {
		return nil, nil
	}
	return getent(q.ctx, q.database, missing)
}

// end says that no more ids come.
func (q *idQueue) end() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.ended = true
	for q.running < getents && q.err == nil && len(q.waiting) > 0 {
		q.run()
	}
}

// addTo waits, after end, and adds the names to a table. Ids that nobody knows have none, which is no gap.
func (q *idQueue) addTo(names map[idmap.Inside]string) []nsinspect.Gap {
	q.runs.Wait()
	maps.Copy(names, q.found)
	if q.err == nil {
		return nil
	}
	return []nsinspect.Gap{{Subject: "host", Fact: "names from NSS", Error: q.err.Error()}}
}

// LookupNames adds to t the names that only the name service of the host knows (LDAP, systemd, SSSD). It asks nothing when
// hostRoot is not "/": then the host is not where getent(1) would run.
func LookupNames(ctx context.Context, hostRoot string, t *nsinspect.NameTable, uids, gids []idmap.Inside) []nsinspect.Gap {
	if hostRoot != "/" && hostRoot != "" {
		return nil
	}
	users := newIDQueue(ctx, "passwd", func() map[idmap.Inside]string { return t.Users })
	groups := newIDQueue(ctx, "group", func() map[idmap.Inside]string { return t.Groups })
	users.want(uids...)
	groups.want(gids...)
	users.end()
	groups.end()
	return append(users.addTo(t.Users), groups.addTo(t.Groups)...)
}
