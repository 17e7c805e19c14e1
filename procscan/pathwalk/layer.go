package pathwalk

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/nsview/nsview/nsinspect"
	"github.com/nsview/nsview/procscan"
	"golang.org/x/sys/unix"
)

// inALayer is what one layer has at a path.
type inALayer struct {
	st       *stat // nil when it has no such name
	hides    bool  // lower layers cannot show through: something on the way is not a directory, or is opaque
	whiteout bool  // st is a whiteout of the kind that is an attribute
}

// inLayer looks for a path in one layer. An overlay looks at its layers' own file systems, so a mount over part of a
// layer is in the way of the answer.
func (w *Walker) inLayer(ctx context.Context, o *overlay, l *layer, below string) (inALayer, error) {
	if w.silent[l.place.Dev] {
		return inALayer{}, errSilent
	}
	marks := marksOf(&w.snap.Observer, o.UserXattr)
	found, err := visit(ctx, w, l.table, func(root *procscan.Root) (inALayer, error) {
		dir, err := root.OpenPath(l.name, unix.O_DIRECTORY, 0)
		if err != nil {
			return inALayer{}, err
		}
		defer unix.Close(dir)
		return marks.walk(dir, below)
	})
	if errors.Is(err, procscan.ErrNoAnswer) {
		w.silent[l.place.Dev] = true
	}
	return found, err
}

// layerMarks reads the marks that an overlay leaves on directories (xattr(7)).
type layerMarks struct {
	userXattr bool // user.overlay.*
	trusted   bool // trusted.* can be read
}

// marksOf is for the marks of an overlay, as far as the observer may read them.
func marksOf(o *nsinspect.Observer, userXattr bool) layerMarks {
	return layerMarks{userXattr: userXattr, trusted: o.InitialNS && o.Caps&(1<<unix.CAP_SYS_ADMIN) != 0}
}

// oneName opens a name in a directory of a layer as an overlay looks it up: on the layer's own file system.
var oneName = unix.OpenHow{Flags: unix.O_PATH | unix.O_NOFOLLOW | unix.O_CLOEXEC, Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_XDEV}

// walk looks for below, from the layer's directory on.
func (k layerMarks) walk(dir int, below string) (inALayer, error) {
	entries := strings.Split(strings.Trim(below, "/"), "/")
	if below == "/" {
		entries = nil
	}
	at, err := unix.Dup(dir)
	if err != nil {
		return inALayer{}, err
	}
	defer func() { unix.Close(at) }()
	for i, entry := range entries {
		next, err := unix.Openat2(at, entry, &oneName)
		if absent(err) {
			return inALayer{}, nil
		}
		if err != nil {
			return inALayer{}, fmt.Errorf("open %s in a layer: %w", strings.Join(entries[:i+1], "/"), err)
		}
		unix.Close(at)
		at = next
		if i == len(entries)-1 {
			break
		}
		st, err := statFD(at, entry)
		if err != nil {
			return inALayer{}, err
		}
		if !st.isDir() {
			return inALayer{hides: true}, nil
		}
		opaque, err := k.opaque(at)
		if err != nil {
			return inALayer{}, err
		}
		if opaque {
			// What is below it in this layer still counts.
			found, err := k.walk(at, "/"+strings.Join(entries[i+1:], "/"))
			found.hides = true
			return found, err
		}
	}
	st, err := statFD(at, below)
	if err != nil {
		return inALayer{}, err
	}
	found := inALayer{st: st}
	if st.mode&unix.S_IFMT == unix.S_IFREG {
		found.whiteout = k.has(at, "whiteout")
	}
	return found, nil
}

// opaque reports whether a directory hides those of lower layers. An error when its marks cannot be read, or say that the
// lower directory has another name.
func (k layerMarks) opaque(fd int) (bool, error) {
	if !k.userXattr && !k.trusted {
		return false, fmt.Errorf("read trusted.overlay.opaque: %w", unix.EPERM)
	}
	var value [2]byte
	n, err := unix.Getxattr(selfFD(fd), k.name("opaque"), value[:])
	if err == nil && n == 1 && value[0] == 'y' {
		return true, nil
	}
	if err != nil && !errors.Is(err, unix.ENODATA) && !errors.Is(err, unix.EOPNOTSUPP) {
		return false, fmt.Errorf("read %s: %w", k.name("opaque"), err)
	}
	if k.has(fd, "redirect") {
		return false, errors.New("a directory in the overlay was renamed (redirect_dir)")
	}
	return false, nil
}

func (k layerMarks) has(fd int, mark string) bool {
	_, err := unix.Getxattr(selfFD(fd), k.name(mark), nil)
	return err == nil
}

func (k layerMarks) name(mark string) string {
	if k.userXattr {
		return "user.overlay." + mark
	}
	return "trusted.overlay." + mark
}

func selfFD(fd int) string { return "/proc/self/fd/" + strconv.Itoa(fd) }

// layerBases are the directories that relative layers of an overlay may start from: engines change into one above the layers
// that they name in full, or above where they mount it. Which of them is right shows in what the layers hold. The empty one
// is for layers that are all absolute.
func layerBases(o *nsinspect.Overlay, points []string) []string {
	bases := []string{}
	relative := false
	add := func(p string) {
		for p = path.Dir(p); strings.HasPrefix(p, "/") && p != "/"; p = path.Dir(p) {
			if !slices.Contains(bases, p) {
				bases = append(bases, p)
			}
		}
	}
	for _, l := range o.Layers {
		if path.IsAbs(l) {
			add(l)
		} else {
			relative = true
		}
	}
	if !relative {
		return []string{""}
	}
	for _, p := range points {
		add(p)
	}
	return bases
}
