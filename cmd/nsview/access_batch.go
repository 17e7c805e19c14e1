package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/nsview/nsview/cmd/nsview/internal/render"
	"github.com/nsview/nsview/nsinspect/access"
)

// batchRequest is a line that access --batch reads.
type batchRequest struct {
	ID     json.RawMessage `json:"id"` // a string or a number, copied as a string
	Target string          `json:"target"`
	Op     string          `json:"op"`
	Path   *string         `json:"path"` // "" is a path too, one that does not exist
	Args   []string        `json:"args"`
	User   *string         `json:"user"`
}

// batchAnswer is the line that answers it.
type batchAnswer struct {
	access.Verdict
	Error string `json:"error,omitempty"` // why it could not be asked; the verdict is unknown then
}

// batchLine is how long a request may be: two paths of PATH_MAX with every byte escaped are 48 kB.
const batchLine = 256 << 10

// accessBatch answers the questions on stdin.
func (a *app) accessBatch(ctx context.Context) error {
	asker, err := a.asker(ctx)
	if err != nil {
		return err
	}
	defer asker.close()
	failed, err := asker.answer(ctx, a.in, a.out)
	if err == nil && failed {
		err = &statusError{code: exitFailure}
	}
	return err
}

// answer answers every line of in, in order, each with a line that is written before the next is read. failed says that
// one could not be asked.
func (k *asker) answer(ctx context.Context, in io.Reader, out io.Writer) (failed bool, err error) {
	lines := bufio.NewReaderSize(in, batchLine)
	for ctx.Err() == nil {
		line, err := batchRead(lines)
		var answer batchAnswer
		switch {
		case errors.Is(err, io.EOF):
			return failed, nil
		case errors.Is(err, errBatchLine):
			answer = batchUndecided(&batchRequest{}, err)
		case err != nil:
			return failed, fmt.Errorf("read questions: %w", err)
		case len(bytes.TrimSpace(line)) == 0:
			continue
		default:
			answer = k.batch(ctx, line)
		}
		if ctx.Err() != nil {
			break // a walk that was interrupted is no answer
		}
		failed = failed || answer.Error != ""
		if err := render.JSONLine(out, answer); err != nil {
			return failed, err
		}
	}
	return failed, ctx.Err()
}

var errBatchLine = fmt.Errorf("the line is longer than %d bytes", batchLine)

// batchRead reads a line, without what ends it. A line that is too long is read to its end.
func batchRead(lines *bufio.Reader) ([]byte, error) {
	line, err := lines.ReadSlice('\n')
	if !errors.Is(err, bufio.ErrBufferFull) {
		if len(line) > 0 {
			err = nil // the last line may lack its end
		}
		return line, err
	}
	for errors.Is(err, bufio.ErrBufferFull) {
		_, err = lines.ReadSlice('\n')
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	return nil, errBatchLine
}

// batch answers one line.
func (k *asker) batch(ctx context.Context, line []byte) batchAnswer {
	var r batchRequest
	if !utf8.Valid(line) { // it would be read as another path
		return batchUndecided(&r, errors.New("not a question: JSON is UTF-8"))
	}
	decoder := json.NewDecoder(bytes.NewReader(line))
	decoder.DisallowUnknownFields() // a misspelt key would ask another question
	err := decoder.Decode(&r)
	if err == nil {
		if _, more := decoder.Token(); !errors.Is(more, io.EOF) {
			err = errors.New("something follows the object")
		}
	}
	if err != nil {
		return batchUndecided(&r, fmt.Errorf("not a question: %s", strings.TrimPrefix(err.Error(), "json: ")))
	}
	switch {
	case r.Target == "":
		err = errors.New("the question has no target")
	case r.Path == nil:
		err = errors.New("the question has no path")
	case r.Op == "":
		err = errors.New("the question has no op")
	case r.User != nil && *r.User == "":
		err = errors.New("the user of the question is empty: leave it out to ask for the target itself")
	case strings.Contains(*r.Path+strings.Join(r.Args, ""), "\x00"):
		err = errors.New("a path has no NUL byte")
	}
	if err != nil {
		return batchUndecided(&r, err)
	}
	q := question{Target: r.Target, Path: *r.Path, Op: r.Op, Args: r.Args}
	if r.User != nil {
		q.User = *r.User
	}
	v, err := k.ask(ctx, q)
	if err != nil {
		return batchUndecided(&r, err)
	}
	v.ID = batchID(r.ID)
	return batchAnswer{Verdict: v}
}

// batchID is an id as an answer repeats it.
func batchID(raw json.RawMessage) string {
	var text string
	if json.Unmarshal(raw, &text) == nil {
		return text
	}
	var number json.Number
	if json.Unmarshal(raw, &number) == nil {
		return number.String()
	}
	return ""
}

// batchUndecided answers what could not be asked.
func batchUndecided(r *batchRequest, err error) batchAnswer {
	path := ""
	if r.Path != nil {
		path = *r.Path
	}
	text := err.Error()
	var status *statusError
	if errors.As(err, &status) && status.hint != "" {
		text += ": " + status.hint
	}
	v := access.Undecided(r.Target, path, access.Operation{Op: access.Op(r.Op), Args: r.Args}, text)
	v.ID = batchID(r.ID)
	return batchAnswer{Verdict: v, Error: text}
}
