package nsinspect

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
)

// A stored snapshot may come from a stranger: what it can cost is bounded before it is decoded. A host with 20,000
// processes in 2,000 namespaces is a tenth of this.
const (
	maxSnapshotBytes   = 256 << 20
	maxSnapshotObjects = 2_000_000
)

// Decode reads a Snapshot as nsview snapshot writes it. It is strict: another schema, keys it does not know, and
// references to what is not there are errors, so that no question asked of the result can go out of range.
func Decode(r io.Reader) (*Snapshot, error) {
	bounded := &boundedReader{r: r}
	dec := json.NewDecoder(bounded)
	dec.DisallowUnknownFields()
	s := new(Snapshot)
	if err := dec.Decode(s); err != nil {
		if s.Kind != "" && s.Kind != "Snapshot" && bounded.err == nil { // what nsview ps -o json prints, for instance
			return nil, fmt.Errorf("not a snapshot but of kind %q", s.Kind)
		}
		return nil, decodeError(bounded, err)
	}
	if s.Schema != Schema || s.Kind != "Snapshot" {
		return nil, fmt.Errorf("not a snapshot of schema %s: schema %q, kind %q", Schema, s.Schema, s.Kind)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("more than one JSON value")
	}
	if err := s.check(); err != nil {
		return nil, err
	}
	return s, nil
}

func decodeError(r *boundedReader, err error) error {
	var syntax *json.SyntaxError
	switch {
	case r.err != nil:
		return r.err
	case errors.As(err, &syntax):
		return fmt.Errorf("it is not JSON from byte %d on", syntax.Offset)
	case errors.Is(err, io.EOF):
		return errors.New("it is empty")
	case errors.Is(err, io.ErrUnexpectedEOF):
		return errors.New("it ends in the middle")
	}
	return err
}

// boundedReader fails when more bytes or objects pass than a snapshot may have.
type boundedReader struct {
	r              io.Reader
	bytes, objects int
	err            error
}

func (b *boundedReader) Read(p []byte) (int, error) {
	if b.err != nil {
		return 0, b.err
	}
	n, err := b.r.Read(p)
	b.bytes += n
	for _, c := range p[:n] {
		if c == '{' {
			b.objects++
		}
	}
	switch {
	case b.bytes > maxSnapshotBytes:
		b.err = fmt.Errorf("larger than %d bytes", maxSnapshotBytes)
	case b.objects > maxSnapshotObjects:
		b.err = fmt.Errorf("more than %d objects", maxSnapshotObjects)
	}
	if b.err != nil {
		return 0, b.err
	}
	return n, err
}

// check holds what the rest of the package takes for granted: processes ordered by PID, at least one PID each, and
// every index in range.
func (s *Snapshot) check() error {
	c := checker{s: s}
	for i := range s.Processes {
		p := &s.Processes[i]
		at := fmt.Sprintf("process %d", p.PID)
		switch {
		case i > 0 && p.PID <= s.Processes[i-1].PID:
			return fmt.Errorf("%s: processes are not in the order of their PIDs", at)
		case len(p.PIDs) == 0:
			return fmt.Errorf("%s: pids: none", at)
		}
		c.all(at, p.IDMaps, p.MountTable, p.Names)
		c.index(at, "container", p.Container, len(s.Containers))
	}
	for i := range s.Containers {
		k := &s.Containers[i]
		c.all(fmt.Sprintf("container %d", i), k.IDMaps, k.MountTable, k.Names)
	}
	for i := range s.Namespaces {
		n := &s.Namespaces[i]
		at := fmt.Sprintf("namespace %d", n.Inode)
		if !slices.Contains(Types(), n.Type) {
			return fmt.Errorf("%s: type: %q is none", at, n.Type)
		}
		c.index(at, "id_maps", n.IDMaps, len(s.IDMaps))
	}
	for i, f := range s.Files {
		c.file(fmt.Sprintf("file %d", i), f)
	}
	c.all("observer", s.Observer.IDMaps, s.Observer.MountTable, s.Observer.Names)
	return c.err
}

type checker struct {
	s   *Snapshot
	err error
}

func (c *checker) all(at string, idMaps, mountTable, names int) {
	c.index(at, "id_maps", idMaps, len(c.s.IDMaps))
	c.index(at, "mount_table", mountTable, len(c.s.MountTables))
	c.index(at, "names", names, len(c.s.Names))
}

// file checks where a file was seen.
func (c *checker) file(at string, f *FileFacts) {
	if f == nil {
		c.index(at, "files", 0, 0) // null
		return
	}
	for i := range f.Sightings {
		c.index(at, "table", f.Sightings[i].Table, len(c.s.MountTables))
		if layer := f.Sightings[i].Layer; layer != nil {
			c.index(at, "layer", layer.Table, len(c.s.MountTables))
		}
	}
}

// index keeps the first index that is neither -1 nor in range.
func (c *checker) index(at, key string, index, length int) {
	if c.err == nil && (index < -1 || index >= length) {
		c.err = fmt.Errorf("%s: %s: %d is out of range", at, key, index)
	}
}
