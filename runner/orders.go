package runner

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"reflect"

	"golang.org/x/sys/unix"
)

// memoryFile is an unlinked file with v, or what v points to, at offset 0. It is closed at exec.
func memoryFile(v any) (*os.File, error) {
	fd, err := unix.MemfdCreate("nsview", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("memfd_create: %w", err)
	}
	f := os.NewFile(uintptr(fd), "nsview order")
	if _, err := f.Write(appendValue(nil, reflect.Indirect(reflect.ValueOf(v)))); err != nil {
		f.Close()
		return nil, fmt.Errorf("write the orders of the stage: %w", err)
	}
	return f, nil
}

// maxOrders bounds the orders of a stage. Arguments and environment together are at most 6 MiB (execve(2)).
const maxOrders = 64 << 20

// readMemoryFile reads what memoryFile wrote into the pointer v.
func readMemoryFile(fd int, v any) error {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return err
	}
	if st.Size > maxOrders {
		return errOrders
	}
	b := make([]byte, st.Size)
	// Read at an offset of its own: several stages may share the descriptor.
	n, err := unix.Pread(fd, b, 0)
	if err != nil {
		return err
	}
	return readValue(b[:n], v)
}

// readValue undoes appendValue: it fills in what v points to.
func readValue(b []byte, v any) error {
	in := orderReader{rest: b}
	in.value(reflect.ValueOf(v).Elem())
	if in.err == nil && len(in.rest) > 0 {
		in.err = errOrders
	}
	return in.err
}

// errOrders is about a file or a message that no nsview of this build wrote.
var errOrders = errors.New("what nsview and its stage tell each other makes no sense")

// appendValue writes a value of plain data: its fields and elements in order, numbers as varints, lengths before what is
// long, and a byte that tells nil from empty. Writer and reader are one program, so that nothing has to say what is what.
//
// It is not JSON, which would replace what is not UTF-8 in arguments, the environment and paths, and takes half a
// millisecond to get to know the types of the first message; nor gob, whose start takes longer than everything else that
// nsview does before it forks.
func appendValue(b []byte, v reflect.Value) []byte {
	switch v.Kind() {
	case reflect.Bool:
		if v.Bool() {
			return append(b, 1)
		}
		return append(b, 0)
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return binary.AppendVarint(b, v.Int())
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		return binary.AppendUvarint(b, v.Uint())
	case reflect.String:
		b = binary.AppendUvarint(b, uint64(v.Len()))
		return append(b, v.String()...)
	case reflect.Pointer:
		if v.IsNil() {
			return append(b, 0)
		}
		return appendValue(append(b, 1), v.Elem())
	case reflect.Slice:
		if v.IsNil() {
			return append(b, 0)
		}
		b = binary.AppendUvarint(append(b, 1), uint64(v.Len()))
		for i := range v.Len() {
			b = appendValue(b, v.Index(i))
		}
		return b
	case reflect.Struct:
		for i := range v.NumField() {
			b = appendValue(b, v.Field(i))
		}
		return b
	}
	panic("runner: orders have no " + v.Kind().String()) // a field of a new kind: every test of run would say it
}

// orderReader undoes appendValue. After an error it reads nothing more.
type orderReader struct {
	rest []byte
	err  error
}

func (r *orderReader) value(v reflect.Value) {
	if r.err != nil {
		return
	}
	switch v.Kind() {
	case reflect.Bool:
		v.SetBool(r.flag())
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		n, size := binary.Varint(r.rest)
		r.skip(size)
		v.SetInt(n)
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		v.SetUint(r.number())
	case reflect.String:
		n := r.length()
		v.SetString(string(r.rest[:n]))
		r.rest = r.rest[n:]
	case reflect.Pointer:
		if r.flag() {
			v.Set(reflect.New(v.Type().Elem()))
			r.value(v.Elem())
		}
	case reflect.Slice:
		if r.flag() {
			n := r.length()
			v.Set(reflect.MakeSlice(v.Type(), n, n))
			for i := range n {
				r.value(v.Index(i))
			}
		}
	case reflect.Struct:
		for i := range v.NumField() {
			r.value(v.Field(i))
		}
	default:
		r.err = errOrders
	}
}

func (r *orderReader) flag() bool { return r.number() == 1 }

func (r *orderReader) number() uint64 {
	n, size := binary.Uvarint(r.rest)
	r.skip(size)
	return n
}

// length is a number of elements, each of which takes a byte or more.
func (r *orderReader) length() int {
	n := r.number()
	if n > uint64(len(r.rest)) {
		r.err = errOrders
		return 0
	}
	return int(n)
}

func (r *orderReader) skip(size int) {
	if size <= 0 {
		r.err, r.rest = errOrders, nil
		return
	}
	r.rest = r.rest[size:]
}
