// The native half of the benchmark: a cheap provider, a collector that forgets what it
// is sent, and the load. One binary, so that nothing of what is measured runs in it.
//
//	native upstream            serve Chat Completions; prints the port
//	native collector           take spans by OTLP over gRPC; prints the port
//	native load -h             call a server; prints what came as JSON
package main

import (
	"fmt"
	"net"
	"os"
)

func main() {
	commands := map[string]func([]string) error{
		"upstream": upstream, "collector": collector, "load": load,
	}
	var command func([]string) error
	if len(os.Args) > 1 {
		command = commands[os.Args[1]]
	}
	if command == nil {
		fmt.Fprintln(os.Stderr, "usage: native upstream|collector|load")
		os.Exit(2)
	}
	if err := command(os.Args[2:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// listen takes a free port of the loopback and prints it.
func listen() (net.Listener, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err == nil {
		fmt.Println(listener.Addr().(*net.TCPAddr).Port)
	}
	return listener, err
}
