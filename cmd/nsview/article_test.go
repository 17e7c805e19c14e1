package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nsview/nsview/nsinspect"
	"github.com/nsview/nsview/procscan/engine/enginetest"
)

// composeFile is the article's: two services, each with a volume that is a folder of the host's user khope. %s is that
// folder's parent.
const composeFile = `version: "2.4"
services:
  mariadb:
    image: article
    user: ctr
    network_mode: none
    init: false
    command: sh -c 'touch /var/lib/mysql/file.txt && exec sleep 1000'
    volumes: ["mariadb:/var/lib/mysql"]
  wordpress:
    image: article
    user: ctr
    network_mode: none
    command: sh -c 'touch /var/www/html/file.txt && exec sleep 1000'
    volumes: ["wordpress:/var/www/html"]
volumes:
  wordpress:
    driver_opts: {type: none, o: bind, device: %[1]s/wordpress}
  mariadb:
    driver_opts: {type: none, o: bind, device: %[1]s/mariadb}
`

// article is the experiment nsview began with, on a real docker.
type article struct {
	t      *testing.T
	docker *enginetest.Docker
	dir    string            // with the compose file, and the host's users
	ids    map[string]string // service to container id
	names  map[string]string // service to container name
}

// One file has two names, one process two PIDs, and the containers have the names that the user gave them.
func TestArticle(t *testing.T) {
	a := newArticle(t)
	for service, volume := range map[string]string{"mariadb": "/var/lib/mysql", "wordpress": "/var/www/html"} {
		t.Run(service, func(t *testing.T) {
			a.t = t
			a.owner(service, volume)
			a.ps(service)
			a.containers(service, volume)
		})
	}
	a.t = t
	a.tables()
}

func newArticle(t *testing.T) *article {
	t.Helper()
	enginetest.Need(t, "docker-compose", "unshare", "mount")
	a := &article{t: t, docker: enginetest.StartDocker(t), dir: enginetest.Dir(t), ids: map[string]string{}, names: map[string]string{}}
	// khope is uid and gid 1000 in a copy of the host's tables, which only nsview sees.
	a.write("passwd", "root:x:0:0::/:/bin/sh\nkhope:x:1000:1000::/:/bin/sh\n")
	a.write("group", "root:x:0:\nkhope:x:1000:\n")
	for _, service := range []string{"mariadb", "wordpress"} {
		if err := os.MkdirAll(filepath.Join(a.dir, "data", service), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Chown(filepath.Join(a.dir, "data", service), 1000, 1000); err != nil {
			t.Fatal(err)
		}
	}
	// docker gives an empty volume the owner that the directory has in the image.
	a.docker.Run("run", "--net=none", "--name", "prepare", "busybox", "chown", "ctr:ctr", "/var/lib/mysql", "/var/www/html")
	a.docker.Run("commit", "prepare", "article")
	a.write("docker-compose.yml", fmt.Sprintf(composeFile, a.dir+"/data"))
	enginetest.Run(t, []string{"DOCKER_HOST=unix://" + a.docker.Socket, "COMPOSE_INTERACTIVE_NO_CLI=1"},
		"docker-compose", "--project-name", "blog", "--file", a.dir+"/docker-compose.yml", "up", "-d", "--no-build")
	for _, service := range []string{"mariadb", "wordpress"} {
		a.ids[service] = a.docker.Run("ps", "-aq", "--no-trunc", "--filter", "label=com.docker.compose.service="+service)
		a.names[service] = strings.TrimPrefix(a.docker.Run("inspect", "-f", "{{.Name}}", a.ids[service]), "/")
		enginetest.Eventually(t, "file.txt of "+service, func() bool {
			state := a.docker.Run("inspect", "-f", "{{.State.Status}}", a.ids[service])
			if state != "running" {
				t.Fatalf("%s is %s: %s", service, state, a.docker.Run("logs", a.ids[service]))
			}
			_, err := os.Stat(a.file(service))
			return err == nil
		})
	}
	return a
}

func (a *article) write(name, text string) {
	a.t.Helper()
	if err := os.WriteFile(filepath.Join(a.dir, name), []byte(text), 0o644); err != nil {
		a.t.Fatal(err)
	}
}

func (a *article) file(service string) string {
	return filepath.Join(a.dir, "data", service, "file.txt")
}

// volume is where docker mounts the folder.
func (a *article) volume(service string) string {
	return a.docker.Dir + "/data/volumes/blog_" + service + "/_data"
}

// nsview runs it where khope is a user, and returns what it prints.
func (a *article) nsview(args ...string) string {
	a.t.Helper()
	const script = `mount --bind "$0/passwd" /etc/passwd && mount --bind "$0/group" /etc/group && exec nsview "$@"`
	cmd := exec.Command("unshare", append([]string{"--mount", "--propagation", "private", "sh", "-c", script, a.dir}, args...)...)
	cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8")
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		a.t.Fatalf("nsview %s: %v: %s", strings.Join(args, " "), err, stderr.String())
	}
	return string(out)
}

func (a *article) json(report any, args ...string) {
	a.t.Helper()
	if err := json.Unmarshal([]byte(a.nsview(append(args, "-o", "json")...)), report); err != nil {
		a.t.Fatal(err)
	}
}

// owner says khope khope on the host, and ctr ctr in the container.
func (a *article) owner(service, volume string) {
	a.t.Helper()
	var report nsinspect.OwnerReport
	a.json(&report, "owner", a.file(service))
	if len(report.Files) != 1 {
		a.t.Fatalf("%d files", len(report.Files))
	}
	// docker mounts the folder below its own as well, so that the host sees the file twice. What else runs on this host
	// may see it too.
	seen := map[string]string{} // viewer and path to names
	for _, v := range report.Files[0].Views {
		if v.Viewer == "host" || strings.HasPrefix(v.Viewer, "docker:blog_") {
			seen[v.Viewer+" "+v.Path] = v.User + " " + v.Group
		}
	}
	want := map[string]string{
		"host " + a.file(service):                                 "khope khope",
		"host " + a.volume(service) + "/file.txt":                 "khope khope",
		"docker:" + a.names[service] + " " + volume + "/file.txt": "ctr ctr",
	}
	if diff := cmp.Diff(want, seen); diff != "" {
		a.t.Errorf("nsview owner %s: (-want +got)\n%s", a.file(service), diff)
	}
}

// ps shows one process with two PIDs, and both users.
func (a *article) ps(service string) {
	a.t.Helper()
	var list nsinspect.ProcessList
	a.json(&list, "ps", "docker:"+a.names[service])
	if len(list.Processes) != 1 {
		a.t.Fatalf("%d processes", len(list.Processes))
	}
	p := list.Processes[0]
	if p.PID != a.docker.InitPID(a.ids[service]) || !slices.Equal(p.PIDs, []int{p.PID, 1}) || p.Comm != "sleep" {
		a.t.Errorf("ps shows %s with the PIDs %v", p.Comm, p.PIDs)
	}
	if p.Host.User != "khope" || p.Host.Group != "khope" || p.Inside.User != "ctr" || p.Inside.Group != "ctr" {
		a.t.Errorf("ps shows %+v on the host and %+v inside", p.Host, p.Inside)
	}
	if p.Container == nil || p.Container.Engine != "docker" || p.Container.Name != a.names[service] || p.Container.ID != a.ids[service] {
		a.t.Errorf("ps shows the container %+v", p.Container)
	}
}

// containers tells project, service and volume by the names of the compose file.
func (a *article) containers(service, volume string) {
	a.t.Helper()
	var list nsinspect.ContainerList
	a.json(&list, "containers", a.names[service])
	if len(list.Containers) != 1 {
		a.t.Fatalf("%d containers", len(list.Containers))
	}
	c := list.Containers[0]
	if c.Project != "blog" || c.Service != service || c.Image != "article" || c.User != "ctr" || c.State != "running" || c.ID != a.ids[service] {
		a.t.Errorf("containers shows %+v", c)
	}
	if len(c.Mounts) != 1 || c.Mounts[0].Name != "blog_"+service || c.Mounts[0].Source != a.dir+"/data/"+service || c.Mounts[0].Destination != volume {
		a.t.Errorf("containers shows the mounts %+v", c.Mounts)
	}
	if !slices.ContainsFunc(c.Volumes, func(v nsinspect.Volume) bool {
		return v.Point == volume && v.Name == "blog_"+service && v.Source == a.dir+"/data/"+service && len(v.Views) > 1
	}) {
		a.t.Errorf("containers shows the volumes %+v", c.Volumes)
	}
	var chain []string
	for _, l := range c.Chain {
		chain = append(chain, l.Comm)
	}
	if want := []string{"dockerd", "containerd", "containerd-shim"}; !slices.Equal(chain, want) {
		a.t.Errorf("containers shows the chain %v, want %v", chain, want)
	}
}

// tables are what a user sees first.
func (a *article) tables() {
	a.t.Helper()
	for _, c := range []struct {
		args []string
		want [][]string // words of one line
	}{
		{[]string{"owner", a.file("mariadb")}, [][]string{{"host", "khope", "khope"}, {"docker:" + a.names["mariadb"], "ctr", "ctr", "blog_mariadb"}}},
		{[]string{"ps", a.names["mariadb"]}, [][]string{{"khope", "ctr", "docker:" + a.names["mariadb"], "sleep"}}},
		{[]string{"containers", a.names["mariadb"], "-o", "table"}, [][]string{{"docker", a.names["mariadb"], a.ids["mariadb"][:12], "article"}}},
		{[]string{"containers", a.names["mariadb"]}, [][]string{
			{"service", "mariadb"}, {"pid", "separate"}, {"user", "shared"}, {"blog_mariadb", "/var/lib/mysql", "khope:khope", "ctr:ctr"},
		}},
		{[]string{"ps", "--tree", a.names["mariadb"]}, [][]string{{"dockerd", "(docker", "daemon)"}, {"containerd-shim", "(docker", "shim)"}, {"ctr", "sleep"}}},
	} {
		text := a.nsview(c.args...)
		for _, words := range c.want {
			if !slices.ContainsFunc(strings.Split(text, "\n"), func(line string) bool { return hasWords(line, words) }) {
				a.t.Errorf("nsview %s shows no line with %q:\n%s", strings.Join(c.args, " "), words, text)
			}
		}
	}
}

// hasWords reports whether a line has these words, in this order.
func hasWords(line string, words []string) bool {
	fields := strings.Fields(line)
	for _, word := range words {
		at := slices.Index(fields, word)
		if at < 0 {
			return false
		}
		fields = fields[at+1:]
	}
	return true
}
