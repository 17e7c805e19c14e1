package doctor

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/nsview/nsview/idmap"
	"github.com/nsview/nsview/nsinspect"
	"github.com/nsview/nsview/nsinspect/access"
	"github.com/nsview/nsview/nsinspect/shell"
)

// maxSamples bounds the sorts of files of one volume that are asked about: whoever writes to it can make as many as there
// are ids.
const maxSamples = 64

// maxFileFindings bounds the findings about the files of one volume.
const maxFileFindings = 3

// WantsFiles reports whether the files of a volume are to be counted for what the container may do with them: it is a
// directory, not one of the operating system, and somebody whom the container is there for may be refused at all.
func (f *Facts) WantsFiles(p *PathAsk) bool {
	if p.Volume.Point == "" || systemTree(p.Volume.Source) {
		return false
	}
	return slices.ContainsFunc(f.Answers, func(a Answer) bool { return f.asksFiles(&a, p.Container, p.Volume.Point) })
}

// asksFiles reports whether an answer is about a volume in whose files its subject may find some that it may not use.
func (f *Facts) asksFiles(a *Answer, container int, volume string) bool {
	if !a.Primary || a.Container != container || a.Path != volume || a.Subject == nil {
		return false
	}
	n := a.Walk.Reached()
	return n != nil && n.Type == access.Directory && !(a.Subject.UserNS == f.Snapshot.Observer.UserNS && a.Subject.Cred.CapEff&access.CapSet([]string{"CAP_DAC_OVERRIDE"}) != 0)
}

// SampleAsks are the files whose walks Judge wants for what was counted: one of each owner and mode, the most frequent
// first, for each subject that a container is there for. Their walks are to be filled in. A gap says what is left out.
func (f *Facts) SampleAsks() (asks []Sample, paths []string, gaps []nsinspect.Gap) {
	viewers := f.Snapshot.Viewers()
	type volume struct {
		container int
		path      string
	}
	of, sorts := map[volume]uint64{}, map[volume]int{}
	for i := range f.Counts {
		of[volume{f.Counts[i].Container, f.Counts[i].Path}] += f.Counts[i].Files
	}
	for i := range f.Counts {
		c := &f.Counts[i]
		if typ := c.Mode & 0o170000; typ != 0o100000 && typ != 0o040000 || c.Example == "" || c.Example == c.Path {
			continue
		}
		v := volume{c.Container, c.Path}
		for k := range f.Answers {
			a := &f.Answers[k]
			if !f.asksFiles(a, c.Container, c.Path) {
				continue
			}
			if sorts[v]++; sorts[v] > maxSamples {
				if sorts[v] == maxSamples+1 {
					gaps = append(gaps, nsinspect.Gap{
						Subject: viewers[c.Container] + ":" + c.Path, PID: a.Subject.PID, Fact: "access to its files",
						Error: fmt.Sprintf("they are of more than %d owners and modes", maxSamples),
					})
				}
				continue
			}
			asks = append(asks, Sample{Container: c.Container, Path: c.Path, Files: c.Files, Of: of[v], Partial: c.Partial, Subject: a.Subject})
			paths = append(paths, c.Example)
		}
	}
	return asks, paths, gaps
}

// files finds files of volumes that whom the container is there for may not use, though it may use the volume: after a
// chown of the directory alone, and in what another user has put there.
func (j *judge) files(i int) {
	type key struct {
		file     string
		uid, gid idmap.Kernel
	}
	judged := map[key]bool{}
	for _, v := range j.volumes(i) {
		said := 0
		for _, a := range j.answersOf(i, true) {
			dir := a.Walk.Reached()
			if a.Path != v.Point || dir == nil || dir.Type != access.Directory || !j.may(a.Subject, a.Walk, "rx") {
				continue
			}
			use := fileUse{dir: dir, readOnly: v.ReadOnly, writes: !v.ReadOnly && j.may(a.Subject, a.Walk, "w")}
			for n := range j.Samples {
				s := &j.Samples[n]
				k := key{s.Walk.Path, s.Subject.Cred.UID.FS, s.Subject.Cred.GID.FS}
				if s.Container != i || s.Path != v.Point || judged[k] || k.uid != a.Subject.Cred.UID.FS || k.gid != a.Subject.Cred.GID.FS {
					continue
				}
				judged[k] = true
				if said < maxFileFindings && j.file(i, s, use) {
					said++
				}
			}
		}
	}
}

// fileUse is what is expected of the files of a volume.
type fileUse struct {
	dir      *access.Node // the volume itself
	readOnly bool         // it is mounted so
	writes   bool         // its subject may change the directory
}

// file judges one sample, and reports whether there is a finding.
func (j *judge) file(i int, s *Sample, use fileUse) bool {
	n := s.Walk.Reached()
	if n == nil {
		return false // gone, or in a directory that is a sample itself
	}
	letters := "r"
	if n.Type == access.Directory {
		letters = "rx"
	}
	reads := j.may(s.Subject, s.Walk, letters)
	if use.writes || !reads && !use.readOnly {
		letters += "w"
	}
	op := eaccess(letters)
	v := j.decide(s.Subject, s.Walk, op)
	switch {
	case v.Verdict == access.Unknown:
		j.gaps = append(j.gaps, nsinspect.Gap{Subject: j.viewers[i] + ":" + n.Path, PID: s.Subject.PID, Fact: "access to it by " + j.who(s.Subject), Error: v.Missing})
		return false
	case v.Verdict != access.Deny || v.Component != n.Path || v.Rule == access.RuleModeOwner || n.UID.Known && n.UID.Seen == s.Subject.Cred.UID.FS:
		return false
	}
	f := Finding{ID: Files, Severity: Warning, Target: j.viewers[i], Path: s.Path, Evidence: v.Explanation}
	if f.Evidence == "" {
		f.Evidence = fmt.Sprintf("access to %s by %s is refused with %s by %s%s", n.Path, j.who(s.Subject), v.Errno, v.Rule, nodeText(s.Walk, n.Path))
	}
	f.Evidence += fmt.Sprintf("; %d of %d files in %s have this owner and mode", s.Files, s.Of, s.Path)
	if s.Partial {
		f.Evidence += ", of those that were counted before the time budget ended"
	}
	f.Meaning = "the volume is open to the container and these files in it are not, as after a chown or a copy of only a part"
	if reads {
		f.Meaning = "the container can read these files and not change them, though it can change the directory of the volume"
	}
	if j.Fix != nil {
		for _, fix := range j.Fix(s.Subject, s.Walk, op, v) {
			if all, ok := forAll(fix, n, use.dir); ok {
				f.Fixes = append(f.Fixes, all)
			}
		}
	}
	j.add(f)
	return true
}

// forAll is a fix of one file, done to all below the volume that have its owner and mode. A fix that touches no file is as
// it was; false for one that cannot be.
func forAll(fix access.Fix, n, dir *access.Node) (access.Fix, bool) {
	if len(fix.Commands) == 0 {
		return fix, true
	}
	if n.Host == "" || dir.Host == "" || !n.UID.OnDisk.Mapped() || !n.GID.OnDisk.Mapped() {
		return fix, false
	}
	kind := "f"
	if n.Type == access.Directory {
		kind = "d"
	}
	find := shell.Command("find", dir.Host, "-xdev", "-type", kind, "-uid", n.UID.OnDisk.String(), "-gid", n.GID.OnDisk.String(), "-perm", strconv.FormatUint(uint64(n.Mode), 8))
	for _, command := range fix.Commands {
		// In its directory, so that nobody in the container can lead a path elsewhere meanwhile.
		one, ok := strings.CutSuffix(command, " "+shell.Arguments(n.Host))
		if !ok {
			return fix, false // it is about more than this file
		}
		find += " -execdir " + one + " {} +"
	}
	fix.Commands = []string{find}
	fix.Title = strings.ReplaceAll(fix.Title, shell.Arguments(n.Host), "all files like it")
	fix.Opens = strings.ReplaceAll(fix.Opens, shell.Arguments(n.Path), "all files like it")
	return fix, true
}

// eaccess asks for permissions: letters of r, w and x.
func eaccess(letters string) access.Operation {
	var mode uint32
	for _, l := range letters {
		mode |= map[rune]uint32{'r': 4, 'w': 2, 'x': 1}[l]
	}
	return access.Operation{Op: access.OpEaccess, Args: []string{letters}, Mode: mode}
}

func (j *judge) may(s *access.Subject, w *access.Walk, letters string) bool {
	return j.decide(s, w, eaccess(letters)).Verdict == access.Allow
}
