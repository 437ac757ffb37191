// The application of the cluster tests: a server with every kind of probe that can be made ill or dead, and the client
// commands that tests run in its pods. One static binary without dependencies, so that its image is nothing else.
package main

import (
	"fmt"
	"os"
	"sort"
	"strings"
)

// What `kubectl exec POD -- /app NAME ARGUMENT…` can do.
var commands = map[string]func([]string) error{
	"serve":    serve,
	"switch":   switchState,
	"exchange": exchange,
	"get":      get,
	"grpc":     grpc,
	"load":     load,
	"udp":      udp,
	"resolve":  resolve,
	"process":  process,
	"signal":   signalProcess,
	"files":    files,
	"print":    printFile,
	"sleep":    sleep,
}

func main() {
	name := ""
	if len(os.Args) > 1 {
		name = os.Args[1]
	}
	command, known := commands[name]
	if !known {
		var names []string
		for each := range commands {
			names = append(names, each)
		}
		sort.Strings(names)
		fmt.Fprintf(os.Stderr, "expected one of %s, got %q\n", strings.Join(names, ", "), name)
		os.Exit(64)
	}
	if err := command(os.Args[2:]); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}
