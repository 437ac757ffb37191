package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"
)

// Where the server listens; 0 closes one for good.
var (
	serveFlags = flag.NewFlagSet("serve", flag.ExitOnError)
	httpPort   = serveFlags.Int("http", 8080, "HTTP port")
	httpsPort  = serveFlags.Int("https", 8443, "HTTPS port")
	grpcPort   = serveFlags.Int("grpc", 9090, "gRPC health port")
	tcpPort    = serveFlags.Int("tcp", 9000, "TCP port of the exchange protocol")
	udpPort    = serveFlags.Int("udp", 9001, "UDP echo port")
	firstState = serveFlags.String("state", alive, "state to start in")
)

// What `switch` can make of the server.
const (
	alive = "alive"
	ill   = "ill"  // listens, and says that it is not well
	dead  = "dead" // nothing listens: connections are refused
)

// An abstract socket: shared by the containers of a pod, and no file, so it works on a read-only root.
const switchSocket = "@injector-test-app"

// How long connections that are open at SIGTERM may take to finish.
const drain = 20 * time.Second

// A service opens its listener and returns what closes it: at once (nil context) or when its connections are done.
type service func() (close func(context.Context), err error)

type server struct {
	mutex    sync.Mutex
	state    string
	services []service
	closers  []func(context.Context)
}

func serve(arguments []string) error {
	serveFlags.Parse(arguments)
	ending := make(chan os.Signal, 1)
	signal.Notify(ending, syscall.SIGTERM, syscall.SIGINT)
	app := &server{state: dead}
	app.services = []service{app.httpService(), app.httpsService(), app.grpcService(), tcpService, udpService}
	if err := app.become(*firstState); err != nil {
		return err
	}
	if err := app.listenForSwitch(); err != nil {
		return err
	}
	<-ending
	fmt.Println("ending")
	patience, cancel := context.WithTimeout(context.Background(), drain)
	defer cancel()
	app.close(patience)
	fmt.Println("ended")
	return nil
}

// become changes the state; every open listener is closed for `dead` and opened again for the others.
func (app *server) become(state string) error {
	if state != alive && state != ill && state != dead {
		return fmt.Errorf("expected the state %s, %s or %s, got %q", alive, ill, dead, state)
	}
	app.mutex.Lock()
	opening := app.state == dead && state != dead
	app.state = state
	app.mutex.Unlock()
	if state == dead {
		app.close(nil)
	}
	if opening {
		for _, open := range app.services {
			closer, err := open()
			if err != nil {
				return err
			}
			app.closers = append(app.closers, closer)
		}
	}
	fmt.Println("state", state)
	return nil
}

func (app *server) well() bool {
	app.mutex.Lock()
	defer app.mutex.Unlock()
	return app.state == alive
}

func (app *server) close(patience context.Context) {
	var closing sync.WaitGroup
	for _, closer := range app.closers {
		closing.Go(func() { closer(patience) })
	}
	closing.Wait()
	app.closers = nil
}

func (app *server) listenForSwitch() error {
	listener, err := net.Listen("unix", switchSocket)
	if err != nil {
		return err
	}
	go func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			words, _ := io.ReadAll(io.LimitReader(connection, 16))
			answer := "done"
			if err := app.become(string(words)); err != nil {
				answer = err.Error()
			}
			io.WriteString(connection, answer)
			connection.Close()
		}
	}()
	return nil
}

// switch STATE: the client's end of listenForSwitch; it returns when the state holds.
func switchState(arguments []string) error {
	if len(arguments) != 1 {
		return fmt.Errorf("expected one state, got %q", arguments)
	}
	connection, err := net.Dial("unix", switchSocket)
	if err != nil {
		return err
	}
	defer connection.Close()
	io.WriteString(connection, arguments[0])
	connection.(*net.UnixConn).CloseWrite()
	answer, err := io.ReadAll(connection)
	if err == nil && string(answer) != "done" {
		err = fmt.Errorf("%s", answer)
	}
	return err
}
