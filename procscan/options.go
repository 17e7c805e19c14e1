// Package procscan reads /proc and its relatives into a nsinspect.Snapshot. What could not be read is a Gap in the
// snapshot, never an error and never a missing row. It only looks: it joins, signals and changes nothing.
package procscan

// Fact selects what Scan reads beyond the status and the namespaces of every process.
type Fact uint

// What can be asked for.
const (
	Args         Fact = 1 << iota // command lines
	Graph                         // Snapshot.Namespaces with parents, owners, hidden parents, pins other than fds
	Relations                     // of Graph only the namespaces that processes are in, and what is above them. Without pins
	Mounts                        // mount tables
	UserNames                     // user names of the host and of every container
	GroupNames                    // group names of both
	CreatorNames                  // user names of the host, for the creators of user namespaces only
	FDPins                        // pins by open fds: reads every fd table. Implies Graph. Sockets are left out, see readGraph
	Brief                         // of the namespaces of processes only user, PID and mount, the others are 0: a third of the time
	Followers                     // with Brief, of all processes: neither start time nor cgroup of those behind PID 1 of a container, see followers
	Beside                        // with Brief, of all processes: neither credentials nor cgroup of those that see what the observer sees, see beside. The ids are unmapped then
	Threads                       // threads whose namespaces or credentials differ from their process's
	NoKthreads                    // kernel threads are left out
	FileNames                     // of names only those that files have: whoever asks looks its own ids up, see LookupNames
)

// Names are user and group names.
const Names = UserNames | GroupNames

// Options says what Scan looks at.
type Options struct {
	Proc     string // where procfs is mounted, "/proc" when empty
	HostRoot string // whose /etc/passwd names the host's users, "/" when empty
	Facts    Fact
	PIDs     []int // only these processes; nil means all

	Programs []string // names of processes that Beside does not leave anything out of

	Source Source
	Chosen *Choice // when not nil, is filled in with where the processes were read from
}

// Source is where processes are read from.
type Source string

// The sources. SourceBPF sees what SourceProc does, and also what procfs refuses; Args and Threads only SourceProc has.
const (
	SourceAuto Source = "auto" // the one that is there and takes less time; also the zero value
	SourceProc Source = "proc" // the files of procfs
	SourceBPF  Source = "bpf"  // a BPF iterator, see package taskiter. Scan fails where there is none
)

// Choice is which source a Scan read from, and why.
type Choice struct {
	Source Source
	Why    string
}
