package engine

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"io/fs"
	"net"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// getFile asks the daemon behind a unix socket: one HTTP/1.0 request and its whole answer. net/http would do it too, and
// costs every start of nsview a millisecond.
func getFile(ctx context.Context, hostRoot string, p Pattern) ([]File, error) {
	name := filepath.Join(hostRoot, p.Glob)
	var st unix.Stat_t
	switch err := unix.Stat(name, &st); {
	case err != nil:
		return nil, &fs.PathError{Op: "stat", Path: name, Err: err}
	case st.Uid != 0 && st.Uid != p.Owner:
		return nil, fmt.Errorf("%s: not of uid %d", name, p.Owner)
	}
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "unix", name)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	if deadline, ok := ctx.Deadline(); ok {
		_ = conn.SetDeadline(deadline) // it fails for a closed connection only
	}
	if _, err := fmt.Fprintf(conn, "GET %s HTTP/1.0\r\nHost: localhost\r\n\r\n", p.Get); err != nil {
		return nil, err
	}
	answer, err := io.ReadAll(io.LimitReader(conn, maxFile+1))
	if err != nil {
		return nil, err
	}
	body, err := httpBody(answer)
	if err != nil {
		return nil, fmt.Errorf("GET %s of %s: %w", p.Get, name, err)
	}
	return []File{{Path: p.Glob, Get: p.Get, By: p.Owner, Data: body}}, nil
}

// httpBody is the body of a successful HTTP answer (RFC 9112), which ends with the connection.
func httpBody(answer []byte) ([]byte, error) {
	head, body, ok := bytes.Cut(answer, []byte("\r\n\r\n"))
	if !ok {
		return nil, fmt.Errorf("not an HTTP answer")
	}
	if len(answer) > maxFile {
		return nil, fmt.Errorf("larger than %d bytes", maxFile)
	}
	status, err := bufio.NewReader(bytes.NewReader(append(head, '\r', '\n'))).ReadString('\n')
	fields := strings.Fields(status)
	if err != nil || len(fields) < 2 || !strings.HasPrefix(fields[0], "HTTP/1.") {
		return nil, fmt.Errorf("not an HTTP answer")
	}
	if fields[1] != "200" {
		return nil, fmt.Errorf("answered %s", fields[1])
	}
	return body, nil
}
