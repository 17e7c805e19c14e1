package doctor

import (
	"os"
	"regexp"
	"slices"
	"testing"
)

// docs/findings.md explains every kind of finding, in this order, and no other.
func TestFindingsAreDocumented(t *testing.T) {
	text, err := os.ReadFile("../../docs/findings.md")
	if err != nil {
		t.Fatal(err)
	}
	section := regexp.MustCompile(`(?m)^### (NSV-[A-Z-]+)\n\n- Severity: .+\n- Means: .+\n- Found by: .+\n- Fixed by: .+\n`)
	var got []ID
	for _, m := range section.FindAllStringSubmatch(string(text), -1) {
		got = append(got, ID(m[1]))
	}
	if !slices.Equal(got, IDs()) {
		t.Errorf("explained are %v\nfound are %v", got, IDs())
	}
	if n := len(regexp.MustCompile(`(?m)^### `).FindAll(text, -1)); n != len(got) {
		t.Errorf("%d sections, of which %d are whole", n, len(got))
	}
}
