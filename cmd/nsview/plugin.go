package main

import (
	"encoding/json"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/nsview/nsview/cmd/nsview/internal/render"
	"github.com/nsview/nsview/nsinspect/shell"
)

// plugin is the command line of which nsview is a part. The same binary is a plugin by its name: docker-nsview is what
// "docker nsview" runs, kubectl-nsview what "kubectl nsview" runs. Both look at this machine, so where docker or the
// cluster is another one they refuse and say what to run there.
type plugin struct {
	of   string // "docker", "kubectl", or "" for nsview itself
	args []string

	// For docker: its own flags, which stand before the plugin's name.
	host, context, config string
}

// pluginOf says what nsview was started as. metadata is set when docker asks what the plugin is.
func pluginOf(name string, args []string) (p plugin, metadata bool) {
	switch filepath.Base(name) {
	case "kubectl-nsview":
		return plugin{of: "kubectl", args: args}, false
	case "docker-nsview":
		if len(args) > 0 && args[0] == "docker-cli-plugin-metadata" {
			return plugin{of: "docker"}, true
		}
		return dockerPlugin(args), false
	}
	return plugin{args: args}, false
}

// dockerPlugin takes docker's own flags off: docker passes its whole command line on, and to complete one puts __complete
// before it.
func dockerPlugin(args []string) plugin {
	p := plugin{of: "docker"}
	if len(args) > 1 && strings.HasPrefix(args[0], cobra.ShellCompRequestCmd) {
		of := dockerPlugin(args[1:])
		of.args = append([]string{args[0]}, of.args...)
		return of
	}
	takes := map[string]*string{
		"-H": &p.host, "--host": &p.host, "-c": &p.context, "--context": &p.context, "--config": &p.config,
		"-l": new(string), "--log-level": new(string), "--tlscacert": new(string), "--tlscert": new(string), "--tlskey": new(string),
	}
	for i := 0; i < len(args); i++ {
		if args[i] == "nsview" {
			p.args = args[i+1:]
			return p
		}
		name, value, has := strings.Cut(args[i], "=")
		target := takes[name]
		switch {
		case target == nil:
		case has:
			*target = value
		case i+1 < len(args):
			i++
			*target = args[i]
		}
	}
	p.args = args // typed by its own name
	return p
}

// dockerMetadata is the answer to docker-cli-plugin-metadata (docker/cli: cli-plugins/metadata).
type dockerMetadata struct {
	SchemaVersion    string
	Vendor           string
	Version          string
	ShortDescription string
	URL              string
}

func (a *app) printMetadata() error {
	return render.JSON(a.out, dockerMetadata{
		SchemaVersion: "0.1.0", Vendor: "nsview", Version: buildVersion(),
		ShortDescription: "Show containers from both sides: PIDs, users, files", URL: "https://github.com/nsview/nsview",
	})
}

// checkPlugin refuses to inspect this machine for a docker or a cluster that is another one. A stored snapshot says
// itself whose it is.
func (a *app) checkPlugin(cmd *cobra.Command) error {
	if a.from != "" || cmd.Flags().Changed("version") || cmd.Name() == "help" || cmd.Name() == "completion" || strings.HasPrefix(cmd.Name(), "__") {
		return nil
	}
	switch a.plugin.of {
	case "docker":
		return a.plugin.checkDocker()
	case "kubectl":
		return a.checkKubectl()
	}
	return nil
}

// command is what to type on the machine that was meant.
func (p *plugin) command() string { return shell.Quote(append([]string{"nsview"}, p.args...)...) }

func (p *plugin) checkDocker() error {
	endpoint, why := p.endpoint()
	if endpoint == "" {
		return usageError("docker context ls lists them", "there is no such docker context (%s)", why)
	}
	u, err := url.Parse(endpoint)
	if err != nil {
		return usageError("", "docker endpoint \"%s\": %w", endpoint, err)
	}
	remote := "on " + u.Hostname() + ": " + p.command()
	switch u.Scheme {
	case "unix", "fd":
		if !strings.Contains(u.Path, "/.docker/desktop/") {
			return nil
		}
		remote = "inside that virtual machine: " + p.command()
	case "ssh":
		target := u.Hostname()
		if name := u.User.Username(); name != "" {
			target = name + "@" + target
		}
		words := []string{"ssh"}
		if port := u.Port(); port != "" {
			words = append(words, "-p", port)
		}
		remote = shell.Quote(append(words, "--", target, p.command())...)
	default:
		if ip, err := netip.ParseAddr(u.Hostname()); u.Hostname() == "localhost" || err == nil && ip.IsLoopback() {
			return nil
		}
	}
	return usageError(remote, "docker is another machine, %s (%s), and nsview would look at this one", endpoint, why)
}

// endpoint is the daemon that docker talks to, and what says so, in docker's own order (docker/cli: resolveContextName).
// It is "" for a context that is not there.
func (p *plugin) endpoint() (endpoint, why string) {
	const local = "unix:///var/run/docker.sock"
	name := p.context
	switch {
	case p.host != "":
		return p.host, "--host"
	case name != "":
		why = "--context " + name
	case os.Getenv("DOCKER_HOST") != "":
		return os.Getenv("DOCKER_HOST"), "DOCKER_HOST"
	case os.Getenv("DOCKER_CONTEXT") != "":
		name, why = os.Getenv("DOCKER_CONTEXT"), "DOCKER_CONTEXT"
	default:
		var config struct {
			CurrentContext string `json:"currentContext"`
		}
		readJSON(filepath.Join(p.configDir(), "config.json"), &config)
		name, why = config.CurrentContext, "docker context "+config.CurrentContext
	}
	if name == "" || name == "default" {
		return local, "default"
	}
	// The directory of a context is a digest of its name, which its file has too.
	dir := filepath.Join(p.configDir(), "contexts/meta")
	entries, _ := os.ReadDir(dir) // where there is none, the context is not there
	for _, e := range entries {
		var meta struct {
			Name      string
			Endpoints map[string]struct{ Host string }
		}
		readJSON(filepath.Join(dir, e.Name(), "meta.json"), &meta)
		if meta.Name != name {
			continue
		}
		docker, ok := meta.Endpoints["docker"]
		if ok && docker.Host == "" {
			return local, why
		}
		return docker.Host, why
	}
	return "", why
}

func (p *plugin) configDir() string {
	if p.config != "" {
		return p.config
	}
	if dir := os.Getenv("DOCKER_CONFIG"); dir != "" {
		return dir
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "" // no file will be there
	}
	return filepath.Join(home, ".docker")
}

// readJSON reads a file of the user's own. What is not there or is no JSON says nothing, as for docker.
func readJSON(path string, v any) {
	if b, err := os.ReadFile(path); err == nil {
		_ = json.Unmarshal(b, v)
	}
}

// checkKubectl refuses on a machine that is no node: the containers of the cluster are elsewhere.
func (a *app) checkKubectl() error {
	entries, err := os.ReadDir(a.proc)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if _, err := strconv.Atoi(e.Name()); err != nil {
			continue
		}
		comm, err := os.ReadFile(filepath.Join(a.proc, e.Name(), "comm"))
		if err != nil {
			continue // it ended
		}
		switch name := strings.TrimSpace(string(comm)); {
		case name == "kubelet", strings.HasPrefix(name, "k3s"), strings.HasPrefix(name, "k0s"), name == "rke2", name == "microk8s":
			return nil
		}
	}
	return usageError("kubectl get pod POD -o wide names the node; there: "+a.plugin.command(),
		"no kubelet runs here: this machine is no node of the cluster")
}
