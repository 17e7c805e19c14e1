package taskiter

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// btfFile describes the types of the running kernel (Linux 5.4, CONFIG_DEBUG_INFO_BTF).
const btfFile = "/sys/kernel/btf/vmlinux"

// Kinds of types (Documentation/bpf/btf.rst).
const (
	kindInt       = 1
	kindArray     = 3
	kindStruct    = 4
	kindUnion     = 5
	kindEnum      = 6
	kindFunc      = 12
	kindFuncProto = 13
	kindVar       = 14
	kindDatasec   = 15
	kindDeclTag   = 17
	kindEnum64    = 19
)

// kernelTypes is what the program needs to know of the kernel's types: where fields are, and the ids of functions. It is
// read in one pass over the file, in a few milliseconds; a library that makes every type of it takes ten times that.
type kernelTypes struct {
	b       []byte // the types
	strings []byte
	at      []uint32            // of each type in b, by id - 1
	structs map[string][]uint32 // ids of structs with a name that is wanted
	funcs   map[string]uint32
	release func()
}

var errBTF = errors.New("the kernel's BTF makes no sense")

// readTypes reads the types of the running kernel. They are to be released.
func readTypes(structs []string, functions ...string) (*kernelTypes, error) {
	f, err := os.Open(btfFile)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	// Linux 6.16 maps the file; a read copies five megabytes, 4 kB at a time.
	b, err := unix.Mmap(int(f.Fd()), 0, int(info.Size()), unix.PROT_READ, unix.MAP_PRIVATE)
	mapped := err == nil
	if !mapped {
		if b, err = io.ReadAll(f); err != nil {
			return nil, err
		}
	}
	k, err := parseTypes(b, structs, functions...)
	if mapped {
		release := func() { _ = unix.Munmap(b) }
		if err != nil {
			release()
			return nil, err
		}
		k.release = release
	}
	return k, err
}

func parseTypes(b []byte, structs []string, functions ...string) (*kernelTypes, error) {
	// struct btf_header: u16 magic, u8 version, u8 flags, u32 hdr_len, type_off, type_len, str_off, str_len
	const header = 24
	u32 := binary.NativeEndian.Uint32
	if len(b) < header || binary.NativeEndian.Uint16(b) != 0xeb9f {
		return nil, errBTF
	}
	head := uint64(u32(b[4:]))
	part := func(at int) ([]byte, error) {
		from := head + uint64(u32(b[at:]))
		to := from + uint64(u32(b[at+4:]))
		if to > uint64(len(b)) {
			return nil, errBTF
		}
		return b[from:to], nil
	}
	types, err := part(8)
	if err != nil {
		return nil, err
	}
	names, err := part(16)
	if err != nil {
		return nil, err
	}
	k := &kernelTypes{b: types, strings: names, at: make([]uint32, 0, len(types)/24), structs: map[string][]uint32{}, funcs: map[string]uint32{}, release: func() {}}
	wanted := make(map[string]bool, len(structs))
	for _, name := range structs {
		wanted[name] = true
	}
	for at := 0; at < len(types); {
		size, err := typeSize(types[at:])
		if err != nil {
			return nil, err
		}
		k.at = append(k.at, uint32(at))
		id := uint32(len(k.at))
		switch kind := types[at+7] & 0x1f; kind {
		case kindStruct:
			if name := k.name(u32(types[at:])); wanted[string(name)] {
				k.structs[string(name)] = append(k.structs[string(name)], id)
			}
		case kindFunc:
			name := k.name(u32(types[at:]))
			for _, function := range functions { // few: to compare is less than to look up
				if string(name) == function {
					k.funcs[function] = id
				}
			}
		}
		at += size
	}
	return k, nil
}

// typeSize is how long the type at the beginning of b is: struct btf_type of 12 bytes (name, info, size or type), and what
// its kind has after that.
func typeSize(b []byte) (int, error) {
	if len(b) < 12 {
		return 0, errBTF
	}
	info := binary.NativeEndian.Uint32(b[4:])
	n := int(info & 0xffff)
	size := 12
	switch info >> 24 & 0x1f {
	case kindInt, kindVar, kindDeclTag:
		size += 4
	case kindArray:
		size += 12
	case kindStruct, kindUnion, kindDatasec, kindEnum64:
		size += 12 * n
	case kindEnum, kindFuncProto:
		size += 8 * n
	}
	if size > len(b) {
		return 0, errBTF
	}
	return size, nil
}

// name is the string at an offset, without copying it.
func (k *kernelTypes) name(at uint32) []byte {
	if uint64(at) >= uint64(len(k.strings)) {
		return nil
	}
	s := k.strings[at:]
	if i := bytes.IndexByte(s, 0); i >= 0 {
		return s[:i]
	}
	return s
}

// find is a struct with a field of that name, and where that is in it, in bits. A field that is a struct without a name is
// looked into.
func (k *kernelTypes) find(structure, field string) (id, at uint32, err error) {
	for _, id := range k.structs[structure] {
		if at, ok := k.field(id, field, 0); ok {
			return id, at, nil
		}
	}
	return 0, 0, fmt.Errorf("this kernel has no %s.%s", structure, field)
}

// id is that of a struct with a field of that name.
func (k *kernelTypes) id(structure, field string) (uint32, error) {
	id, _, err := k.find(structure, field)
	return id, err
}

// offset is where a field is in a struct, in bytes.
func (k *kernelTypes) offset(structure, field string) (int, error) {
	_, bits, err := k.find(structure, field)
	return int(bits / 8), err
}

// size is that of a struct with a field of that name, in bytes.
func (k *kernelTypes) size(structure, field string) (int, error) {
	id, err := k.id(structure, field)
	if err != nil {
		return 0, err
	}
	return int(binary.NativeEndian.Uint32(k.b[k.at[id-1]+8:])), nil
}

func (k *kernelTypes) field(id uint32, field string, depth int) (uint32, bool) {
	const deepest = 8
	if id == 0 || int(id) > len(k.at) || depth > deepest {
		return 0, false
	}
	b := k.b[k.at[id-1]:]
	info := binary.NativeEndian.Uint32(b[4:])
	if kind := info >> 24 & 0x1f; kind != kindStruct && kind != kindUnion {
		return 0, false
	}
	bitfields := info>>31 != 0 // then 8 bits of an offset are the size
	for i := range int(info & 0xffff) {
		m := b[12+12*i:]
		name, kind, at := binary.NativeEndian.Uint32(m), binary.NativeEndian.Uint32(m[4:]), binary.NativeEndian.Uint32(m[8:])
		if bitfields {
			at &= 0xffffff
		}
		if name == 0 {
			if in, ok := k.field(kind, field, depth+1); ok {
				return at + in, true
			}
			continue
		}
		if string(k.name(name)) == field {
			return at, true
		}
	}
	return 0, false
}
