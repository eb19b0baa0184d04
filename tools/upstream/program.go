// Package program stands between the specs of a suite and the plugin that they judge: where a spec
// calls the plugin's function, the program of that name is run instead. The child inherits the
// thread's network namespace, as a runtime's plugin does.
package program

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path"
	"strings"

	"github.com/containernetworking/cni/pkg/skel"
	"github.com/containernetworking/cni/pkg/types"
	"github.com/onsi/ginkgo/v2"
)

// directory holds the programs that are judged.
var directory = os.Getenv("UPSTREAM_PROGRAMS")

// IsGiven says whether programs are judged, and not the functions that the suite was built with.
var IsGiven = directory != ""

// Built stands for a build of a package of this module: what is judged, or what ./dev has built.
func Built(importPath string) (string, error) {
	if strings.Contains(importPath, "/plugins/plugins/") {
		return path.Join(directory, path.Base(importPath)), nil
	}
	return path.Join(os.Getenv("UPSTREAM_TOOLS"), "echo-"+path.Base(importPath)), nil
}

// Call runs a plugin's program. What it was given and what it answered is in the spec's report.
func Call(plugin, command string, args *skel.CmdArgs) error {
	child := exec.Command(path.Join(directory, plugin))
	for _, variable := range os.Environ() {
		if !strings.HasPrefix(variable, "CNI_") {
			child.Env = append(child.Env, variable)
		}
	}
	// Specs of host-device and ptp attach the namespace that they are in.
	child.Env = append(child.Env, "CNI_NETNS_OVERRIDE=true", "CNI_COMMAND="+command,
		"CNI_CONTAINERID="+args.ContainerID, "CNI_NETNS="+args.Netns, "CNI_IFNAME="+args.IfName,
		"CNI_ARGS="+args.Args, "CNI_PATH="+directory)
	var stdout, stderr bytes.Buffer
	child.Stdin, child.Stdout, child.Stderr = bytes.NewReader(args.StdinData), &stdout, &stderr
	err := child.Run()
	fmt.Fprintf(ginkgo.GinkgoWriter, "\n%s %s %s %s %s %s\n%s\n-> %v\n%s%s\n", plugin, command,
		args.ContainerID, args.Netns, args.IfName, args.Args, args.StdinData, err, &stdout, &stderr)
	if err == nil {
		_, err = os.Stdout.Write(stdout.Bytes())
		return err
	}
	var answer types.Error
	if json.Unmarshal(stdout.Bytes(), &answer) == nil && (answer.Code != 0 || answer.Msg != "") {
		return &answer
	}
	return errors.Join(err, errors.New(stdout.String()+stderr.String()))
}
