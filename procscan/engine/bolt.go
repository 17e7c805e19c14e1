package engine

import (
	"encoding/binary"
	"errors"
	"hash/fnv"
)

// errBolt is a database that cannot be read: not one, damaged, or copied while pages in it were written anew.
var errBolt = errors.New("not a readable bolt database")

// boltDB reads a bolt database (go.etcd.io/bbolt, internal/common: meta.go, page.go, bucket.go) from a copy of its bytes,
// without a lock and without writing. The file is pages, in the byte order of the host:
//
//	page     id u64, flags u16, count u16, overflow u32, then count elements
//	meta     magic u32, version u32, page size u32, flags u32, root bucket (page u64, sequence u64), free list u64,
//	         high water u64, transaction u64, checksum u64 (FNV-1a of what is before it); pages 0 and 1
//	branch   pos u32, key size u32, page u64
//	leaf     flags u32 (1: a bucket), pos u32, key size u32, value size u32; the value follows the key at pos
//	bucket   page u64, sequence u64; page 0: the page is inline, after these
//
// Writers copy pages and then write one of the two metas, so that a copy taken while one was writing is mostly whole.
// Where it is not, the page ids do not match or JSON in it does not parse.
type boltDB struct {
	data []byte
	size uint64 // of a page
	left int    // bytes of elements that may still be looked at: pages of a damaged file may lead in circles
}

// boltBucket is the keys and values, and the buckets, below one page. It is inline in its parent when inline is set.
type boltBucket struct {
	db     *boltDB
	root   uint64
	inline []byte
}

const (
	boltMagic    = 0xED0CDAED
	boltVersion  = 2
	boltHeader   = 16 // bytes of a page header, and of an element
	boltMeta     = 64 // bytes of a meta
	boltBranch   = 1  // page flags
	boltLeaf     = 2
	boltIsBucket = 1 // element flag
	boltMaxDepth = 32
	boltVisits   = 4 // how often all of it may be looked at: each lookup walks a bucket
)

// openBolt is the root bucket of a database as the last transaction left it.
func openBolt(data []byte) (*boltBucket, error) {
	db := &boltDB{data: data, left: boltVisits*len(data) + 1<<16}
	var best, root uint64
	order := binary.NativeEndian
	for size := uint64(1 << 9); size <= 1<<16; size <<= 1 {
		for at := uint64(0); at <= size; at += size {
			if at+boltHeader+boltMeta > uint64(len(data)) {
				continue
			}
			m := data[at+boltHeader:][:boltMeta]
			if order.Uint32(m) != boltMagic || order.Uint32(m[4:]) != boltVersion || uint64(order.Uint32(m[8:])) != size {
				continue
			}
			sum := fnv.New64a()
			sum.Write(m[:boltMeta-8])
			if transaction := order.Uint64(m[48:]); sum.Sum64() == order.Uint64(m[boltMeta-8:]) && (db.size == 0 || transaction > best) {
				best, root, db.size = transaction, order.Uint64(m[16:]), size
			}
		}
	}
	if db.size == 0 {
		return nil, errBolt
	}
	return &boltBucket{db: db, root: root}, nil
}

// each visits what is in a bucket, in the order of keys. Of an element that is a bucket itself, sub is set.
func (b *boltBucket) each(visit func(key, value []byte, sub *boltBucket)) error {
	if b.inline != nil {
		return b.db.walk(b.inline, 0, visit)
	}
	p, err := b.db.page(b.root)
	if err != nil {
		return err
	}
	return b.db.walk(p, 0, visit)
}

// page is the bytes of a page with its overflow.
func (db *boltDB) page(id uint64) ([]byte, error) {
	pages := uint64(len(db.data)) / db.size
	if id < 2 || id >= pages {
		return nil, errBolt
	}
	p := db.data[id*db.size:]
	overflow := uint64(binary.NativeEndian.Uint32(p[12:]))
	if binary.NativeEndian.Uint64(p) != id || overflow >= pages-id {
		return nil, errBolt
	}
	return p[:(overflow+1)*db.size], nil
}

func (db *boltDB) walk(p []byte, depth int, visit func(key, value []byte, sub *boltBucket)) error {
	order := binary.NativeEndian
	if len(p) < boltHeader || depth > boltMaxDepth {
		return errBolt
	}
	flags, count := order.Uint16(p[8:]), int(order.Uint16(p[10:]))
	if len(p) < boltHeader*(count+1) || flags != boltBranch && flags != boltLeaf {
		return errBolt
	}
	for i := range count {
		e := p[boltHeader*(i+1):]
		if flags == boltBranch {
			if db.left -= boltHeader; db.left < 0 {
				return errBolt
			}
			below, err := db.page(order.Uint64(e[8:]))
			if err != nil {
				return err
			}
			if err := db.walk(below, depth+1, visit); err != nil {
				return err
			}
			continue
		}
		pos, keySize, valueSize := uint64(order.Uint32(e[4:])), uint64(order.Uint32(e[8:])), uint64(order.Uint32(e[12:]))
		if pos+keySize+valueSize > uint64(len(e)) {
			return errBolt
		}
		if db.left -= boltHeader + int(keySize+valueSize); db.left < 0 {
			return errBolt
		}
		key, value := e[pos:pos+keySize], e[pos+keySize:][:valueSize]
		if order.Uint32(e)&boltIsBucket == 0 {
			visit(key, value, nil)
			continue
		}
		if len(value) < boltHeader {
			return errBolt
		}
		sub := &boltBucket{db: db, root: order.Uint64(value)}
		if sub.root == 0 {
			sub.inline = value[boltHeader:]
		}
		visit(key, nil, sub)
	}
	return nil
}

// bucket is the bucket with that name in b; nil when there is none.
func (b *boltBucket) bucket(name string) (*boltBucket, error) {
	var found *boltBucket
	err := b.each(func(key, _ []byte, sub *boltBucket) {
		if sub != nil && string(key) == name {
			found = sub
		}
	})
	return found, err
}

// value is the value under that key in b; nil when there is none.
func (b *boltBucket) value(name string) ([]byte, error) {
	var found []byte
	err := b.each(func(key, value []byte, sub *boltBucket) {
		if sub == nil && string(key) == name {
			found = value
		}
	})
	return found, err
}
