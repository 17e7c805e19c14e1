package taskiter

import "encoding/binary"

// assembler makes a program of the few instructions that this one is made of (Documentation/bpf/standardization/
// instruction-set.rst).
type assembler struct {
	code  []byte
	jumps []int // to the end, by where they are
}

type register uint8

// R0 is what a helper returns, r1 to r5 are its arguments, r6 to r9 survive it, r10 is the top of the stack.
const (
	r0 register = iota
	r1
	r2
	r3
	r4
	_
	r6
	r7
	r8
	r9
	r10
)

// Helpers (include/uapi/linux/bpf.h).
const (
	helperProbeReadKernel = 113 // Linux 5.5
	helperSeqWrite        = 127 // Linux 5.7
)

func (a *assembler) op(code byte, dst, src register, offset int, imm int32) {
	regs := byte(dst) | byte(src)<<4
	if binary.NativeEndian.Uint16([]byte{1, 0}) != 1 { // big endian: the halves of a byte are the other way round
		regs = byte(src) | byte(dst)<<4
	}
	a.code = append(a.code, code, regs)
	a.code = binary.NativeEndian.AppendUint16(a.code, uint16(int16(offset)))
	a.code = binary.NativeEndian.AppendUint32(a.code, uint32(imm))
}

// Sizes of loads and stores.
const (
	word   = 0x00 // 4 bytes
	double = 0x18 // 8 bytes
)

// load is dst = *(src + offset).
func (a *assembler) load(size byte, dst, src register, offset int) {
	a.op(0x61|size, dst, src, offset, 0)
}

// store is *(dst + offset) = src.
func (a *assembler) store(size byte, dst register, offset int, src register) {
	a.op(0x63|size, dst, src, offset, 0)
}

// zero is 8 bytes of 0 at dst + offset.
func (a *assembler) zero(dst register, offset int) { a.op(0x62|double, dst, 0, offset, 0) }

func (a *assembler) move(dst, src register)     { a.op(0xbf, dst, src, 0, 0) }
func (a *assembler) set(dst register, v int)    { a.op(0xb7, dst, 0, 0, int32(v)) }
func (a *assembler) add(dst register, v int)    { a.op(0x07, dst, 0, 0, int32(v)) }
func (a *assembler) call(helper int32)          { a.op(0x85, 0, 0, 0, helper) }
func (a *assembler) endIfZero(dst register)     { a.endIf(0x15, dst, 0) }
func (a *assembler) endIfNot(dst, src register) { a.endIf(0x5d, dst, src) }

func (a *assembler) endIfEqual(dst, src register) {
	a.endIf(0x1d, dst, src)
}

// ifNot is a jump for when they differ, to where land says.
func (a *assembler) ifNot(dst, src register) (at int) {
	a.op(0x5d, dst, src, 0, 0)
	return len(a.code)/8 - 1
}

// ifEqual is one for when they are equal.
func (a *assembler) ifEqual(dst, src register) (at int) {
	a.op(0x1d, dst, src, 0, 0)
	return len(a.code)/8 - 1
}

// ifIs is one for when it is a number.
func (a *assembler) ifIs(dst register, v int) (at int) {
	a.op(0x15, dst, 0, 0, int32(v))
	return len(a.code)/8 - 1
}

// jump goes on at an instruction.
func (a *assembler) jump(to int) {
	a.op(0x05, 0, 0, 0, 0)
	putJump(a.code, len(a.code)/8-1, to)
}

// callKernel calls a function of the kernel by its BTF id.
func (a *assembler) callKernel(id uint32) { a.op(0x85, 0, 2, 0, int32(id)) }

// land has a jump lead to what comes next.
func (a *assembler) land(at int) { putJump(a.code, at, len(a.code)/8) }

// probe copies size bytes of the kernel's to a place on the stack; 0 when there are none. It takes r0 to r5.
func (a *assembler) probe(size, to int, from register, offset int) {
	a.move(r3, from)
	a.add(r3, offset)
	a.move(r1, r10)
	a.add(r1, to)
	a.set(r2, size)
	a.call(helperProbeReadKernel)
}

// write writes the record on the stack, for the reader of the file in r6.
func (a *assembler) write() {
	a.move(r1, r6)
	a.move(r2, r10)
	a.add(r2, -recordSize)
	a.set(r3, recordSize)
	a.call(helperSeqWrite)
}

func (a *assembler) endIf(code byte, dst, src register) {
	a.jumps = append(a.jumps, len(a.code)/8)
	a.op(code, dst, src, 0, 0)
}

// exit ends the program with 0.
func (a *assembler) exit() {
	a.set(r0, 0)
	a.op(0x95, 0, 0, 0, 0)
}

// finish ends the program with 0 and has the jumps lead there.
func (a *assembler) finish() []byte {
	end := len(a.code) / 8
	a.exit()
	for _, at := range a.jumps {
		binary.NativeEndian.PutUint16(a.code[at*8+2:], uint16(end-at-1))
	}
	return a.code
}

// putJump has the jump at one instruction lead to another.
func putJump(code []byte, at, to int) {
	binary.NativeEndian.PutUint16(code[at*8+2:], uint16(to-at-1))
}
