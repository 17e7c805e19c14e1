// Package render turns values into what a person or a script reads: tables, trees, JSON. It is the only package that
// knows how wide text is on a terminal, and every string a container chose passes through Escape here.
package render
