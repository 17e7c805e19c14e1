package nsinspect

// Sharing says whether two processes are in the same namespace of a kind.
type Sharing string

// The answers about one kind of namespace.
const (
	Shared   Sharing = "shared"
	Separate Sharing = "separate"
	Unknown  Sharing = "unknown" // one side could not be read
)

// SharedNamespace compares two processes by one kind of namespace.
type SharedNamespace struct {
	Type    Type    `json:"type"`
	A       Inode   `json:"a"`
	B       Inode   `json:"b"`
	Sharing Sharing `json:"sharing"`
}

// Share compares the namespaces of two processes, kind by kind.
func Share(a, b *NamespaceSet) []SharedNamespace {
	shared := make([]SharedNamespace, 0, len(Types()))
	for _, t := range Types() {
		row := SharedNamespace{Type: t, A: a.Of(t), B: b.Of(t), Sharing: Separate}
		switch {
		case row.A == 0 || row.B == 0:
			row.Sharing = Unknown
		case row.A == row.B:
			row.Sharing = Shared
		}
		shared = append(shared, row)
	}
	return shared
}
