package pathwalk

import (
	"fmt"
	"path"
	"strings"

	"github.com/nsview/nsview/nsinspect"
	"github.com/nsview/nsview/procscan"
	"golang.org/x/sys/unix"
)

// wholeLayer reports whether a layer is one of the driver vfs.
func wholeLayer(dir string) bool { return path.Base(path.Dir(dir)) == "dir" }

// maxLayers is more than an overlay may have (OVL_MAX_STACK).
const maxLayers = 500

// readLayers reads how the overlay drivers of docker and of containers/storage keep a layer: DIR/diff has its files, and
// DIR/lower names those below it, the topmost first, each a link in the directory above DIR. Those of the driver vfs are
// in a directory called dir, and each has all of its files.
func readLayers(dir string) (*layerNames, error) {
	if wholeLayer(dir) {
		return &layerNames{Overlay: nsinspect.Overlay{Layers: []string{dir}, Upper: true}}, nil
	}
	root, err := procscan.OpenRoot(path.Dir(dir))
	if err != nil {
		return nil, err
	}
	defer root.Close()
	names := &layerNames{Overlay: nsinspect.Overlay{Layers: []string{dir + "/diff"}, Upper: true}}
	text, err := root.ReadFile("/"+path.Base(dir)+"/lower", maxPath*4)
	if err != nil && !absent(err) {
		return nil, err
	}
	for _, lower := range strings.Split(strings.TrimSpace(string(text)), ":") {
		if lower == "" {
			continue
		}
		if len(names.Layers) >= maxLayers || path.IsAbs(lower) {
			return nil, fmt.Errorf("%s/lower is not what an engine writes", dir)
		}
		// Opened to see that it stays among the layers, whoever wrote the file.
		fd, err := root.OpenPath("/"+lower, unix.O_DIRECTORY, 0)
		if err != nil {
			return nil, err
		}
		at, err := fdPath(fd)
		_ = unix.Close(fd)
		if err != nil {
			return nil, err
		}
		names.Layers = append(names.Layers, at)
	}
	return names, nil
}
