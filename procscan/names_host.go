package procscan

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/nsview/nsview/idmap"
	"github.com/nsview/nsview/nsinspect"
)

// hostNames are the names of the host: those that its passwd and group files have, and from its name service those that
// they lack, which is asked while processes are still read.
type hostNames struct {
	facts         Fact
	stop          context.CancelFunc
	files         func() (rootNames, error)
	users, groups *idQueue // nil where nobody is to be asked
}

// beginHostNames prepares to read the names of the host. They are to be closed.
func (s *scanner) beginHostNames(ctx context.Context) *hostNames {
	ctx, stop := context.WithCancel(ctx)
	h := &hostNames{facts: s.opts.Facts, stop: stop}
	h.files = sync.OnceValues(func() (rootNames, error) {
		return InTime(ctx, nameDeadline, func() (rootNames, error) { return s.names.below(s.opts.HostRoot) })
	})
	if h.facts&FileNames != 0 || s.opts.HostRoot != "/" {
		return h
	}
	h.users = newIDQueue(ctx, "passwd", func() map[idmap.Inside]string { names, _ := h.files(); return names.users })
	h.groups = newIDQueue(ctx, "group", func() map[idmap.Inside]string { names, _ := h.files(); return names.groups })
	return h
}

// close gives up what is still asked.
func (h *hostNames) close() {
	h.stop()
	if h.users != nil {
		h.users.runs.Wait()
		h.groups.runs.Wait()
	}
}

// want asks for the names of a process's ids that a snapshot may want.
func (h *hostNames) want(c *nsinspect.Credentials) {
	if h.users == nil {
		return
	}
	if h.facts&UserNames != 0 {
		h.users.wantAll(&c.UID)
	}
	if h.facts&GroupNames != 0 {
		h.groups.wantAll(&c.GID)
	}
}

// hostNameTable waits for the names of the host, of all processes and namespaces of the snapshot.
func (s *scanner) hostNameTable() nsinspect.NameTable {
	o := &s.snap.Observer
	t := nsinspect.NameTable{MntNS: o.MntNS, Root: o.Root, Users: map[idmap.Inside]string{}, Groups: map[idmap.Inside]string{}}
	h := s.host
	if h.users != nil {
		for i := range s.snap.Processes {
			h.want(&s.snap.Processes[i].Cred)
		}
		for i := range s.snap.Namespaces {
			h.users.want(idmap.Inside(s.snap.Namespaces[i].OwnerUID))
		}
		h.users.end()
		h.groups.end()
	}
	names, err := h.files()
	if err != nil {
		names.errs = append(names.errs, nameError{"names", err})
	} else {
		// Copies: what the name service knows is added, and a container may share the files.
		t.Users, t.Groups = maps.Clone(names.users), maps.Clone(names.groups)
	}
	for _, e := range names.errs {
		s.gap(nsinspect.Gap{Subject: "host", Fact: e.fact, Error: e.err.Error(), Hint: hintFor(e.err)})
	}
	if h.users != nil {
		for _, g := range append(h.users.addTo(t.Users), h.groups.addTo(t.Groups)...) {
			s.gap(g)
		}
	}
	return t
}

func lacking(known map[idmap.Inside]string, ids []idmap.Inside) []idmap.Inside {
	var missing []idmap.Inside
	for _, id := range ids {
		if _, ok := known[id]; !ok && id.Mapped() {
			missing = append(missing, id)
		}
	}
	slices.Sort(missing)
	return slices.Compact(missing)
}

// onlyFiles reports whether nsswitch.conf(5) names no other source than the files that were read already. Without that
// file the C library reads only those.
func onlyFiles(database string) bool {
	content, err := os.ReadFile("/etc/nsswitch.conf")
	if err != nil {
		return errors.Is(err, os.ErrNotExist)
	}
	only := true
	for line := range strings.Lines(string(content)) {
		line, _, _ = strings.Cut(line, "#")
		name, sources, ok := strings.Cut(line, ":")
		if !ok || strings.TrimSpace(name) != database {
			continue
		}
		only = !slices.ContainsFunc(strings.Fields(sources), func(f string) bool {
			return f != "files" && !strings.HasPrefix(f, "[")
		})
	}
	return only
}

// idPatience is how long the name service may take for each id, besides the time that any answer may take. Some look into
// a dozen directories for it.
const idPatience = time.Millisecond

// getent asks the name service for ids (getent(1)). Ids that nobody knows are not in the answer, which is no error.
func getent(ctx context.Context, database string, ids []idmap.Inside) (map[idmap.Inside]string, error) {
	path, err := getentPath()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, nameDeadline+time.Duration(len(ids))*idPatience, ErrNoAnswer)
	defer cancel()
	args := make([]string, 0, len(ids)+1)
	args = append(args, database)
	for _, id := range ids {
		args = append(args, id.String())
	}
	var out bytes.Buffer
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Env = []string{"LC_ALL=C", "PATH=/usr/bin:/bin"}
	cmd.Dir = "/"
	cmd.Stdout = &cappedWriter{&out, maxNames}
	cmd.WaitDelay = nameDeadline / 4
	err = cmd.Run()
	if cause := context.Cause(ctx); cause != nil {
		return nil, fmt.Errorf("%s %s: %w", path, database, cause)
	}
	// 2: one or more of the keys were not found (getent(1)).
	var exit *exec.ExitError
	if err != nil && (!errors.As(err, &exit) || exit.ExitCode() != 2) {
		return nil, fmt.Errorf("%s %s: %w", path, database, err)
	}
	return ParseNames(out.Bytes()), nil
}

func getentPath() (string, error) {
	paths := []string{"/usr/bin/getent", "/bin/getent", "/run/current-system/sw/bin/getent"}
	for _, path := range paths {
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() {
			return path, nil
		}
	}
	return "", fmt.Errorf("getent: none of %s exists", strings.Join(paths, ", "))
}

// cappedWriter fails after n bytes.
type cappedWriter struct {
	w io.Writer
	n int
}

func (c *cappedWriter) Write(p []byte) (int, error) {
	if c.n -= len(p); c.n < 0 {
		return 0, errTooLarge
	}
	return c.w.Write(p)
}
