package trace

import (
	"bytes"
	"os"
	"strconv"
)

// readMemory reads up to n bytes of a process.
func readMemory(tid int, address uint64, n int) []byte {
	if address == 0 || n == 0 {
		return nil
	}
	f, err := os.Open("/proc/" + strconv.Itoa(tid) + "/mem")
	if err != nil {
		return nil
	}
	defer f.Close()
	b := make([]byte, n)
	got, _ := f.ReadAt(b, int64(address)) // up to where its memory ends
	return b[:got]
}

// readText reads a string with its NUL, or the beginning of it.
func readText(tid int, address uint64, n int) []byte {
	b := readMemory(tid, address, n)
	if end := bytes.IndexByte(b, 0); end >= 0 {
		return b[:end+1]
	}
	return b
}
