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

// readHostNames reads the host's passwd and group files, and asks its name service for the ids of processes and
// namespaces that they lack.
func (s *scanner) readHostNames(ctx context.Context) nsinspect.NameTable {
	o := &s.snap.Observer
	t := nsinspect.NameTable{MntNS: o.MntNS, Root: o.Root, Users: map[idmap.Inside]string{}, Groups: map[idmap.Inside]string{}}
	names, err := InTime(ctx, nameDeadline, func() (rootNames, error) { return s.names.below(s.opts.HostRoot) })
	if err != nil {
		names.errs = append(names.errs, nameError{"names", err})
	} else {
		// Copies: what the name service knows is added, and a container may share the files.
		t.Users, t.Groups = maps.Clone(names.users), maps.Clone(names.groups)
	}
	for _, e := range names.errs {
		s.gap(nsinspect.Gap{Subject: "host", Fact: e.fact, Error: e.err.Error(), Hint: hintFor(e.err)})
	}
	if s.opts.Facts&FileNames != 0 {
		return t
	}
	uids, gids := s.hostIDs()
	for _, g := range LookupNames(ctx, s.opts.HostRoot, &t, uids, gids) {
		s.gap(g)
	}
	return t
}

// hostIDs are the ids that the snapshot may want to name on the host's side.
func (s *scanner) hostIDs() (uids, gids []idmap.Inside) {
	users, groups := map[idmap.Inside]bool{}, map[idmap.Inside]bool{}
	for i := range s.snap.Processes {
		c := &s.snap.Processes[i].Cred
		if s.opts.Facts&UserNames != 0 {
			for _, id := range []idmap.Kernel{c.UID.Real, c.UID.Effective, c.UID.Saved, c.UID.FS} {
				users[idmap.Inside(id)] = true
			}
		}
		if s.opts.Facts&GroupNames != 0 {
			for _, id := range []idmap.Kernel{c.GID.Real, c.GID.Effective, c.GID.Saved, c.GID.FS} {
				groups[idmap.Inside(id)] = true
			}
		}
	}
	for i := range s.snap.Namespaces {
		users[idmap.Inside(s.snap.Namespaces[i].OwnerUID)] = true
	}
	return slices.Collect(maps.Keys(users)), slices.Collect(maps.Keys(groups))
}

// LookupNames adds to t the names that only the name service of the host knows (LDAP, systemd, SSSD): one call of
// getent(1) for all users that t lacks, two when those are many, and as many for all groups. It asks nothing when hostRoot
// is not "/": then the host is not where getent would run.
func LookupNames(ctx context.Context, hostRoot string, t *nsinspect.NameTable, uids, gids []idmap.Inside) []nsinspect.Gap {
	if hostRoot != "/" && hostRoot != "" {
		return nil
	}
	var (
		wg    sync.WaitGroup
		mu    sync.Mutex
		gaps  [2]*nsinspect.Gap // of users, of groups
		known = [2]map[idmap.Inside]string{t.Users, t.Groups}
	)
	for i, q := range []struct {
		database string
		ids      []idmap.Inside
	}{{"passwd", uids}, {"group", gids}} {
		missing := lacking(known[i], q.ids)
		if len(missing) == 0 || onlyFiles(q.database) {
			continue
		}
		for ids := range slices.Chunk(missing, share(len(missing))) {
			wg.Go(func() {
				found, err := getent(ctx, q.database, ids)
				mu.Lock()
				defer mu.Unlock()
				if err != nil {
					gaps[i] = &nsinspect.Gap{Subject: "host", Fact: "names from NSS", Error: err.Error()}
				}
				for _, id := range ids {
					if name, ok := found[id]; ok {
						known[i][id] = name
					}
				}
			})
		}
	}
	wg.Wait()
	var out []nsinspect.Gap
	for _, g := range gaps {
		if g != nil {
			out = append(out, *g)
		}
	}
	return out
}

// share is how many of n ids one getent is asked for: the name service may take as long for each as nsview takes for ten
// processes, so that two are asked for many.
func share(n int) int {
	const few = 256
	if n <= few {
		return n
	}
	return (n + 1) / 2
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

// maxKeys is how many ids one getent gets: 12 bytes each are far from the limit of execve(2).
const maxKeys = 50_000

// getent asks the name service for ids (getent(1)). Ids that nobody knows are not in the answer, which is no error.
func getent(ctx context.Context, database string, ids []idmap.Inside) (map[idmap.Inside]string, error) {
	if len(ids) > maxKeys {
		return nil, fmt.Errorf("getent %s: %d ids to ask for, more than %d", database, len(ids), maxKeys)
	}
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
