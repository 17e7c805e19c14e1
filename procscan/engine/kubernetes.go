package engine

import (
	"strings"

	"github.com/nsview/nsview/nsinspect"
)

// kubeContainer are the names that Kubernetes has for a container.
type kubeContainer struct {
	name string // of the container in its pod; that of the sandbox, which holds the pod's namespaces, is POD
	pod  nsinspect.Pod
}

// sandboxName is what the kubelet has always called the container that holds a pod's namespaces.
const sandboxName = "POD"

// addTo makes these a claim's. The claim is called POD/CONTAINER: kubectl has the names of both, and the name of a
// container alone is that of many.
func (k *kubeContainer) addTo(c *nsinspect.Claim) {
	if k.pod != (nsinspect.Pod{}) {
		c.Pod = &k.pod
	}
	if k.pod.Name != "" && k.name != "" {
		c.Name = k.pod.Name + "/" + k.name
	}
}

// criNames are the names that containerd's CRI plugin annotates a container with (containerd:
// internal/cri/annotations). The pod's uid is told by containerd 1.7 and later.
func criNames(annotations map[string]string) kubeContainer {
	const prefix = "io.kubernetes.cri."
	k := kubeContainer{name: annotations[prefix+"container-name"], pod: nsinspect.Pod{
		ID: annotations[prefix+"sandbox-id"], Name: annotations[prefix+"sandbox-name"],
		Namespace: annotations[prefix+"sandbox-namespace"], UID: annotations[prefix+"sandbox-uid"],
	}}
	if annotations[prefix+"container-type"] == "sandbox" {
		k.name = sandboxName
	}
	return k
}

// kubeName reads the name that CRI-O and cri-dockerd make of those that Kubernetes has, none of which has an underscore:
// k8s_CONTAINER_POD_NAMESPACE_UID_ATTEMPT, with POD as the sandbox's container.
func kubeName(name string) (kubeContainer, bool) {
	part := strings.Split(name, "_")
	if len(part) != 6 || part[0] != "k8s" {
		return kubeContainer{}, false
	}
	return kubeContainer{name: part[1], pod: nsinspect.Pod{Name: part[2], Namespace: part[3], UID: part[4]}}, true
}
