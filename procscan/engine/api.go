package engine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/nsview/nsview/procscan"
)

// getFile asks the daemon behind a unix socket: one HTTP/1.0 request and its whole answer. net/http would do it too, and
// costs every start of nsview a millisecond.
func getFile(ctx context.Context, hostRoot string, p Pattern) ([]File, error) {
	root, err := procscan.OpenRoot(hostRoot)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	fd, err := root.OpenPath(p.Glob, 0, 0)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	switch err := unix.Fstat(fd, &st); {
	case err != nil:
		return nil, &fs.PathError{Op: "stat", Path: p.Glob, Err: err}
	case st.Mode&unix.S_IFMT != unix.S_IFSOCK:
		return nil, errors.New("not a socket")
	case st.Uid != 0 && st.Uid != p.Owner:
		return nil, fmt.Errorf("not of uid %d", p.Owner)
	}
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "unix", "/proc/self/fd/"+strconv.Itoa(fd)) // a path of any length
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })() // it fails for a closed one only
	if _, err := fmt.Fprintf(conn, "GET %s HTTP/1.0\r\nHost: localhost\r\n\r\n", p.Get); err != nil {
		return nil, err
	}
	answer, err := io.ReadAll(io.LimitReader(conn, maxFile+1))
	if err != nil {
		return nil, err
	}
	body, err := httpBody(answer)
	if err != nil {
		return nil, fmt.Errorf("GET %s: %w", p.Get, err)
	}
	return []File{{Path: p.Glob, Get: p.Get, By: p.Owner, Data: body}}, nil
}

// httpBody is the body of a successful HTTP answer (RFC 9112), which ends with the connection.
func httpBody(answer []byte) ([]byte, error) {
	head, body, ok := bytes.Cut(answer, []byte("\r\n\r\n"))
	if !ok {
		return nil, errors.New("not an HTTP answer")
	}
	if len(answer) > maxFile {
		return nil, fmt.Errorf("larger than %d bytes", maxFile)
	}
	status, fields, _ := strings.Cut(string(head), "\r\n")
	words := strings.Fields(status)
	if len(words) < 2 || !strings.HasPrefix(words[0], "HTTP/1.") {
		return nil, errors.New("not an HTTP answer")
	}
	if words[1] != "200" {
		return nil, fmt.Errorf("answered %s", words[1])
	}
	for field := range strings.SplitSeq(fields, "\r\n") {
		name, value, _ := strings.Cut(field, ":")
		switch strings.ToLower(name) {
		case "transfer-encoding": // which HTTP/1.0 does not have
			return nil, errors.New("answered in a coding that was not asked for")
		case "content-length":
			if strings.TrimSpace(value) != strconv.Itoa(len(body)) {
				return nil, errors.New("the answer was cut off")
			}
		}
	}
	return body, nil
}
