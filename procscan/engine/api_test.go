package engine

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// fakeDaemon answers every connection to a unix socket with answer, and returns the socket's path below the root
// directory that it returns first.
func fakeDaemon(t *testing.T, answer func(net.Conn) error) (hostRoot, socket string) {
	t.Helper()
	hostRoot, err := os.MkdirTemp("/tmp", "nsview-api.") // short: a socket's path has at most 107 bytes
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(hostRoot) })
	listener, err := net.Listen("unix", filepath.Join(hostRoot, "s"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return // the test is over
			}
			go func() {
				defer conn.Close()
				if _, err := conn.Read(make([]byte, 1024)); err == nil {
					_ = answer(conn) // the reader may have gone
				}
			}()
		}
	}()
	return hostRoot, "/s"
}

func say(text string) func(net.Conn) error {
	return func(conn net.Conn) error {
		_, err := conn.Write([]byte(text))
		return err
	}
}

// drip writes a byte every 100 ms.
func drip(conn net.Conn) error {
	for _, b := range []byte("HTTP/1.0 200 OK\r\n\r\n" + strings.Repeat(" ", 1000)) {
		if _, err := conn.Write([]byte{b}); err != nil {
			return err
		}
		time.Sleep(100 * time.Millisecond)
	}
	return nil
}

func flood(conn net.Conn) error {
	if err := say("HTTP/1.0 200 OK\r\n\r\n")(conn); err != nil {
		return err
	}
	block := make([]byte, 1<<20)
	for range 64 {
		if _, err := conn.Write(block); err != nil {
			return err
		}
	}
	return nil
}

func TestAskingADaemon(t *testing.T) {
	for name, c := range map[string]struct {
		answer func(net.Conn) error
		want   string // what matches the error, "" for none
	}{
		"an answer":           {say("HTTP/1.0 200 OK\r\nContent-Type: application/json\r\n\r\n[]"), ""},
		"an answer of 1.1":    {say("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]"), ""},
		"nothing":             {say(""), "not an HTTP answer"},
		"garbage":             {say("\x00\xff\r\n\r\n[]"), "not an HTTP answer"},
		"a head without end":  {say("HTTP/1.0 200 OK\r\nA: b\r\n"), "not an HTTP answer"},
		"a refusal":           {say("HTTP/1.0 403 Forbidden\r\n\r\n{}"), "answered 403"},
		"chunks":              {say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n[]\r\n0\r\n\r\n"), "coding"},
		"half an answer":      {say("HTTP/1.0 200 OK\r\nContent-Length: 9\r\n\r\n[]"), "cut off"},
		"64 MiB":              {flood, "larger than|deadline"},
		"a byte now and then": {drip, "deadline"},
		"silence":             {func(net.Conn) error { time.Sleep(3 * time.Second); return nil }, "deadline"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			hostRoot, socket := fakeDaemon(t, c.answer)
			r := newReader(t.Context(), Options{HostRoot: hostRoot}, nil)
			start := time.Now()
			a := r.fetch(t.Context(), []request{{nil, Pattern{Glob: socket, Owner: uint32(os.Geteuid()), Get: "/x"}}})[0]
			files, err := a.files, a.err
			if took := time.Since(start); took > 3*readDeadline {
				t.Errorf("took %v", took)
			}
			switch {
			case c.want == "" && (err != nil || len(files) != 1 || string(files[0].Data) != "[]"):
				t.Errorf("%+v, %v", files, err)
			case c.want != "" && (err == nil || !regexp.MustCompile(c.want).MatchString(err.Error())):
				t.Errorf("%v, want %s", err, c.want)
			}
		})
	}
}

// A socket that is another user's is not asked, nor is a file that is none.
func TestWhoIsAsked(t *testing.T) {
	asked := make(chan struct{}, 1)
	hostRoot, socket := fakeDaemon(t, func(conn net.Conn) error {
		asked <- struct{}{}
		return say("HTTP/1.0 200 OK\r\n\r\n[]")(conn)
	})
	if err := os.WriteFile(hostRoot+"/file", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), readDeadline)
	defer cancel()
	owner := uint32(os.Geteuid())
	if owner == 0 {
		owner = 1000
		if err := os.Chown(hostRoot+socket, int(owner), int(owner)); err != nil {
			t.Fatal(err)
		}
	}
	for _, p := range []Pattern{{Glob: socket, Owner: owner + 1, Get: "/"}, {Glob: "/file", Owner: uint32(os.Geteuid()), Get: "/"}, {Glob: "/none", Get: "/"}} {
		if files, err := getFile(ctx, hostRoot, p); err == nil {
			t.Errorf("%+v: %+v", p, files)
		}
	}
	select {
	case <-asked:
		t.Error("the socket was connected to")
	default:
	}
}
