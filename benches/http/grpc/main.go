// gRPC as it is on the wire, at the least cost for whoever measures what stands between: a server that echoes messages,
// and a client of bidirectional streams. One thing is left out that a library would do: nobody looks into the messages.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"net"
	"os"
	"time"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

// grpc serve --listen ADDRESS, or grpc stream --to ADDRESS [--connections N] [--streams N] [--time DURATION] [--size N].
func run() error {
	if len(os.Args) < 2 {
		return fmt.Errorf("expected serve or stream")
	}
	flags := flag.NewFlagSet(os.Args[1], flag.ExitOnError)
	switch os.Args[1] {
	case "serve":
		listen := flags.String("listen", ":8082", "address")
		flags.Parse(os.Args[2:])
		return serve(*listen)
	case "stream":
		load := load{}
		flags.StringVar(&load.to, "to", "127.0.0.1:8082", "address")
		flags.IntVar(&load.connections, "connections", 8, "connections")
		flags.IntVar(&load.streams, "streams", 10, "streams of each connection, with one message under way each")
		flags.IntVar(&load.size, "size", 64, "bytes of a message")
		flags.DurationVar(&load.time, "time", time.Second, "for how long")
		flags.Parse(os.Args[2:])
		count, took, err := load.run()
		if err != nil {
			return err
		}
		return json.NewEncoder(os.Stdout).Encode(map[string]float64{"count": float64(count), "seconds": took.Seconds()})
	}
	return fmt.Errorf("expected serve or stream, got %q", os.Args[1])
}

func serve(address string) error {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	for {
		socket, err := listener.Accept()
		if err != nil {
			return err
		}
		go func() {
			defer socket.Close()
			if err := echo(socket); err != nil {
				fmt.Fprintln(os.Stderr, socket.RemoteAddr(), err)
			}
		}()
	}
}
