package engine

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// boltSize is the page size of the databases that tests write: small, for many pages.
const boltSize = 1024

// boltOf is a bolt database with these buckets: objects are buckets, but those in a bucket of a bucket are values, as
// podman's database has them. It writes what boltDB reads, so that only the live tests show that podman writes that too.
func boltOf(t testing.TB, text []byte) []byte {
	t.Helper()
	var top map[string]map[string]map[string]json.RawMessage
	if err := json.Unmarshal(text, &top); err != nil {
		t.Fatal(err)
	}
	w := &boltWriter{pages: 2}
	root := map[string]boltValue{}
	for name, all := range top {
		sub := map[string]boltValue{}
		for key, values := range all {
			leaf := map[string]boltValue{}
			for k, v := range values {
				leaf[k] = boltValue{data: v}
			}
			sub[key] = boltValue{data: w.bucket(leaf), bucket: true}
		}
		root[name] = boltValue{data: w.bucket(sub), bucket: true}
	}
	return w.finish(w.write(root))
}

type boltValue struct {
	data   []byte
	bucket bool
}

// boltWriter appends pages.
type boltWriter struct {
	data  bytes.Buffer // from page 2 on
	pages uint64
}

// bucket is the value of a bucket: inline when it is small.
func (w *boltWriter) bucket(values map[string]boltValue) []byte {
	header := make([]byte, boltHeader)
	if page := boltLeafPage(0, sortedKeys(values), values); len(page) < boltSize/4 {
		return append(header, page...)
	}
	binary.NativeEndian.PutUint64(header, w.write(values))
	return header
}

// write writes a leaf page, or several below a branch page, and returns the page's id.
func (w *boltWriter) write(values map[string]boltValue) uint64 {
	keys := sortedKeys(values)
	const perLeaf = 2
	if len(keys) <= perLeaf {
		return w.add(func(id uint64) []byte { return boltLeafPage(id, keys, values) })
	}
	var below []uint64
	for i := 0; i < len(keys); i += perLeaf {
		part := keys[i:min(i+perLeaf, len(keys))]
		below = append(below, w.add(func(id uint64) []byte { return boltLeafPage(id, part, values) }))
	}
	return w.add(func(id uint64) []byte {
		p := boltPage(id, boltBranch, len(below))
		for i, page := range below {
			key := keys[i*perLeaf]
			e := make([]byte, boltHeader)
			binary.NativeEndian.PutUint32(e[4:], uint32(len(key)))
			binary.NativeEndian.PutUint64(e[8:], page)
			p = append(p, e...)
		}
		return p
	})
}

func (w *boltWriter) add(make func(id uint64) []byte) uint64 {
	id := w.pages
	page := make(id)
	n := (len(page) + boltSize - 1) / boltSize
	binary.NativeEndian.PutUint32(page[12:], uint32(n-1))
	w.data.Write(page)
	w.data.Write(bytes.Repeat([]byte{0}, n*boltSize-len(page)))
	w.pages += uint64(n)
	return id
}

func boltPage(id uint64, flags, count int) []byte {
	p := make([]byte, boltHeader)
	binary.NativeEndian.PutUint64(p, id)
	binary.NativeEndian.PutUint16(p[8:], uint16(flags))
	binary.NativeEndian.PutUint16(p[10:], uint16(count))
	return p
}

func boltLeafPage(id uint64, keys []string, values map[string]boltValue) []byte {
	p := boltPage(id, boltLeaf, len(keys))
	var data []byte
	for i, key := range keys {
		v := values[key]
		e := make([]byte, boltHeader)
		if v.bucket {
			binary.NativeEndian.PutUint32(e, boltIsBucket)
		}
		binary.NativeEndian.PutUint32(e[4:], uint32(boltHeader*(len(keys)-i)+len(data)))
		binary.NativeEndian.PutUint32(e[8:], uint32(len(key)))
		binary.NativeEndian.PutUint32(e[12:], uint32(len(v.data)))
		p = append(p, e...)
		data = append(append(data, key...), v.data...)
	}
	return append(p, data...)
}

// finish is the file: two metas, the second of which is the newer, and the pages.
func (w *boltWriter) finish(root uint64) []byte {
	var file []byte
	for i := range uint64(2) {
		p := boltPage(i, 4, 0)
		m := make([]byte, boltMeta)
		binary.NativeEndian.PutUint32(m, boltMagic)
		binary.NativeEndian.PutUint32(m[4:], boltVersion)
		binary.NativeEndian.PutUint32(m[8:], boltSize)
		binary.NativeEndian.PutUint64(m[16:], root*i) // the older one has no root
		binary.NativeEndian.PutUint64(m[40:], w.pages)
		binary.NativeEndian.PutUint64(m[48:], 7+i)
		sum := fnv.New64a()
		sum.Write(m[:boltMeta-8])
		binary.NativeEndian.PutUint64(m[boltMeta-8:], sum.Sum64())
		p = append(p, m...)
		file = append(append(file, p...), make([]byte, boltSize-len(p))...)
	}
	return append(file, w.data.Bytes()...)
}

// readBolt is everything in a database: the values of nested buckets under KEY/KEY.
func readBolt(b *boltBucket, prefix string, into map[string]string) error {
	if strings.Count(prefix, "/") > 8 {
		return errBolt // buckets may lead in circles too; nothing but this follows them all
	}
	var failed error
	err := b.each(func(key, value []byte, sub *boltBucket) {
		name := prefix + string(key)
		if sub == nil {
			into[name] = string(value)
		} else if err := readBolt(sub, name+"/", into); err != nil {
			failed = err
		}
	})
	if err != nil {
		return err
	}
	return failed
}

// manyContainers is a database with buckets that are inline, of one page, with overflow pages and with branches.
func manyContainers(t testing.TB) ([]byte, map[string]string) {
	t.Helper()
	want := make(map[string]string)
	buckets := map[string]map[string]map[string]json.RawMessage{"ctr": {}, "vol": {}}
	for i := range 20 {
		id, long := fmt.Sprintf("c%02d", i), `"`+string(bytes.Repeat([]byte("x"), i*300))+`"`
		buckets["ctr"][id] = map[string]json.RawMessage{"config": json.RawMessage(long), "state": json.RawMessage("1"), "netns": json.RawMessage("2")}
		want["ctr/"+id+"/config"], want["ctr/"+id+"/state"], want["ctr/"+id+"/netns"] = long, "1", "2"
	}
	text, err := json.Marshal(buckets)
	if err != nil {
		t.Fatal(err)
	}
	return boltOf(t, text), want
}

func TestBolt(t *testing.T) {
	data, want := manyContainers(t)
	root, err := openBolt(data)
	if err != nil {
		t.Fatal(err)
	}
	got := make(map[string]string)
	if err := readBolt(root, "", got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// A database is read while podman writes it: what is torn is an error, or what it was before, and never a hang.
func TestBoltTorn(t *testing.T) {
	data, _ := manyContainers(t)
	newer := data[boltSize+boltHeader:][:boltMeta]
	for name, tear := range map[string]func(){
		"cut short":           func() { data = data[:3*boltSize] },
		"no meta":             func() { clear(data[:2*boltSize]) },
		"meta half written":   func() { newer[20]++ },
		"pages of another id": func() { data[len(data)-boltSize]++ },
		"a circle": func() {
			root := binary.NativeEndian.Uint64(newer[16:])
			p := data[root*boltSize:]
			binary.NativeEndian.PutUint16(p[8:], boltBranch)
			binary.NativeEndian.PutUint16(p[10:], 1)
			binary.NativeEndian.PutUint64(p[boltHeader+8:], root)
		},
	} {
		t.Run(name, func(t *testing.T) {
			whole := bytes.Clone(data)
			defer func() { data = whole; newer = data[boltSize+boltHeader:][:boltMeta] }()
			tear()
			root, err := openBolt(data)
			if err == nil {
				err = readBolt(root, "", make(map[string]string))
			}
			if err == nil {
				t.Error("read without an error")
			}
		})
	}
}

func FuzzBolt(f *testing.F) {
	data, _ := manyContainers(f)
	f.Add(data, 0, byte(0))
	f.Add(data, 2*boltSize+8, byte(boltBranch))
	f.Add(data[:boltSize*3], boltSize+boltHeader+16, byte(2))
	f.Fuzz(func(t *testing.T, data []byte, at int, b byte) {
		if at >= 0 && at < len(data) {
			data = bytes.Clone(data)
			data[at] = b
		}
		// Sums that fit let the fuzzer get behind them.
		for i := range 2 {
			if m := i*boltSize + boltHeader; len(data) >= m+boltMeta {
				sum := fnv.New64a()
				sum.Write(data[m:][:boltMeta-8])
				data = bytes.Clone(data)
				binary.NativeEndian.PutUint64(data[m+boltMeta-8:], sum.Sum64())
			}
		}
		if root, err := openBolt(data); err == nil {
			_ = readBolt(root, "", make(map[string]string)) // any error will do
		}
		e := &Evidence{Files: []File{{Path: "/s/bolt_state.db", Data: data}}}
		podmanDatabase(e, podmanRoot{state: "/s"})
	})
}
