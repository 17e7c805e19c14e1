package nsinspect

// Claim is what package procscan/engine found out about one running container. Group turns claims into containers.
type Claim struct {
	Engine    string
	ID        string
	Name      string
	Image     string
	InitPID   int    // its first process
	StartTime uint64 // of that process: a claim about a PID that was reused since is not believed
}
