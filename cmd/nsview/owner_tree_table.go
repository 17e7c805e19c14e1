package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/nsview/nsview/cmd/nsview/internal/render"
	"github.com/nsview/nsview/nsinspect"
)

// treeTable has a line for each owner pair and viewer.
func treeTable(r *nsinspect.OwnerSummary, several, wide bool) *render.Table {
	t := &render.Table{Header: []string{"OWNER", "FILES", "VIEWER", "USER", "GROUP", "UID", "GID"}}
	if wide {
		t.Header = slices.Insert(t.Header, 2, "SIZE")
	}
	if several {
		t.Header = append([]string{"TREE"}, t.Header...)
	}
	if wide {
		t.Header = append(t.Header, "PID", "USERNS", "FLAGS")
	} else {
		t.Narrow = columnsOf(t.Header, "GID", "UID", "GROUP")
	}
	t.Header = append(t.Header, "PATH")
	t.KeepEnd = []int{len(t.Header) - 1}
	if several {
		t.KeepEnd = append(t.KeepEnd, 0)
	}
	for i := range r.Trees {
		tree := &r.Trees[i]
		for j := range tree.Owners {
			pair := &tree.Owners[j]
			for k := range pair.Views {
				row := pairRow(pair, &pair.Views[k], wide)
				if several {
					row = append([]string{tree.Path}, row...)
				}
				t.Rows = append(t.Rows, row)
			}
		}
	}
	return t
}

func pairRow(pair *nsinspect.PairOwners, v *nsinspect.PairView, wide bool) []string {
	uid, gid := viewID(v.UnknownIDs, "uid", v.UID), viewID(v.UnknownIDs, "gid", v.GID)
	row := []string{
		pair.Host.UID.String() + ":" + pair.Host.GID.String(), strconv.FormatUint(v.Files, 10), shortViewer(v.Viewer),
		ownerName(v.User, uid), ownerName(v.Group, gid), uid, gid,
	}
	paths := v.Paths[0]
	if wide {
		pid, ns, flags := "", "", ""
		if v.PID != nil {
			pid = strconv.Itoa(*v.PID)
		}
		if v.UserNS != 0 {
			ns = strconv.FormatUint(uint64(v.UserNS), 10)
		}
		if !v.Confirmed {
			flags = "unconfirmed"
		}
		row = append(slices.Insert(row, 2, sizeText(&v.Bytes)), pid, ns, flags)
		paths = strings.Join(v.Paths, " ")
	} else if more := len(v.Paths) - 1; more > 0 {
		paths += fmt.Sprintf(" and %d more", more)
	}
	return append(row, paths)
}

// treeViewerTable says how many files each viewer sees, and of how many not the owner.
func treeViewerTable(r *nsinspect.OwnerSummary, several bool) *render.Table {
	t := &render.Table{Header: []string{"VIEWER", "FILES", "UNMAPPED", "UNKNOWN"}}
	if several {
		t.Header = append([]string{"TREE"}, t.Header...)
	}
	for i := range r.Trees {
		for _, v := range r.Trees[i].Viewers {
			row := []string{shortViewer(v.Viewer), strconv.FormatUint(v.Files, 10), strconv.FormatUint(v.Unmapped, 10), strconv.FormatUint(v.Unknown, 10)}
			if several {
				row = append([]string{r.Trees[i].Path}, row...)
			}
			t.Rows = append(t.Rows, row)
		}
	}
	return t
}
