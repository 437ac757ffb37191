package main

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// What a load has come to since it began. One line of JSON a second, and one at the end.
type tally struct {
	Done   int64 `json:"done"`
	Failed int64 `json:"failed"`
	// Connections opened. With --keep there are as many as clients, and more where one was cut or given up: Go gives one
	// up that it could not put aside within 50 ms (net/http's maxWriteWaitBeforeConnReuse), as on a starved machine.
	Dialled int64 `json:"dialled"`
	// Connections that the other side ended.
	Cut int64 `json:"cut"`
	// The longest that one request took.
	SlowestMilliseconds int64 `json:"slowest_ms"`
}

const loadPatience = 10 * time.Second // for one request; the kernel's own patience would be minutes

type loader struct {
	url                                 string
	keep, h2c                           bool
	body                                []byte
	pause                               time.Duration
	done, failed, dialled, cut, slowest atomic.Int64
}

// load [--clients N] [--pause DURATION] [--keep] [--h2c] [--post BYTES] URL: each client asks again and again until
// SIGTERM, over a new connection each time, or over one that it keeps. What fails is printed with its moment.
func load(arguments []string) error {
	flags := flag.NewFlagSet("load", flag.ExitOnError)
	clients := flags.Int("clients", 1, "how many ask at a time")
	pause := flags.Duration("pause", 50*time.Millisecond, "between an answer and the same client's next request")
	keep := flags.Bool("keep", false, "keep connections")
	h2c := flags.Bool("h2c", false, "speak HTTP/2 in clear text")
	post := flags.Int("post", 0, "POST so many bytes instead of GET")
	flags.Parse(arguments)
	if flags.NArg() != 1 || *clients < 1 {
		return fmt.Errorf("expected at least one client and one URL, got %q", arguments)
	}
	ending, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	loader := &loader{url: flags.Arg(0), keep: *keep, h2c: *h2c, body: make([]byte, *post), pause: *pause}
	var running sync.WaitGroup
	for range *clients {
		running.Go(func() { loader.client(ending) })
	}
	over := make(chan struct{})
	go func() { running.Wait(); close(over) }()
	for {
		select {
		case <-time.After(time.Second):
			loader.print()
		case <-over:
			loader.print()
			return nil
		}
	}
}

func (loader *loader) client(ending context.Context) {
	dialer := net.Dialer{Timeout: loadPatience}
	protocols := new(http.Protocols)
	protocols.SetHTTP1(!loader.h2c)
	protocols.SetUnencryptedHTTP2(loader.h2c)
	transport := &http.Transport{
		DisableKeepAlives: !loader.keep,
		Protocols:         protocols,
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			loader.dialled.Add(1)
			connection, err := dialer.DialContext(ctx, network, address)
			if err != nil {
				return nil, err
			}
			return &watchedConnection{Conn: connection, loader: loader}, nil
		},
	}
	client := http.Client{Timeout: loadPatience, Transport: transport}
	for ending.Err() == nil {
		began := time.Now()
		if err := loader.ask(client); err != nil {
			loader.failed.Add(1)
			fmt.Printf("failed at %s after %d ms: %v\n", began.UTC().Format(time.RFC3339Nano), time.Since(began).Milliseconds(), err)
		} else {
			loader.done.Add(1)
		}
		raise(&loader.slowest, time.Since(began).Milliseconds())
		select {
		case <-ending.Done():
		case <-time.After(loader.pause):
		}
	}
}

// A connection that tells which side ended it.
type watchedConnection struct {
	net.Conn
	loader *loader
	over   atomic.Bool
}

func (connection *watchedConnection) Read(room []byte) (int, error) {
	count, err := connection.Conn.Read(room)
	if err != nil && connection.over.CompareAndSwap(false, true) {
		connection.loader.cut.Add(1)
		fmt.Printf("cut at %s: %v\n", time.Now().UTC().Format(time.RFC3339Nano), err)
	}
	return count, err
}

func (connection *watchedConnection) Close() error {
	connection.over.Store(true)
	return connection.Conn.Close()
}

func (loader *loader) ask(client http.Client) error {
	answer, err := loader.send(client)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if _, err := io.Copy(io.Discard, answer.Body); err != nil {
		return err
	}
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("answered %s (injector-error: %s)", answer.Status, answer.Header.Get("Injector-Error"))
	}
	return nil
}

func (loader *loader) send(client http.Client) (*http.Response, error) {
	if len(loader.body) == 0 {
		return client.Get(loader.url)
	}
	return client.Post(loader.url, "application/octet-stream", bytes.NewReader(loader.body))
}

func raise(highest *atomic.Int64, value int64) {
	for {
		before := highest.Load()
		if value <= before || highest.CompareAndSwap(before, value) {
			return
		}
	}
}

func (loader *loader) print() {
	json.NewEncoder(os.Stdout).Encode(tally{
		Done: loader.done.Load(), Failed: loader.failed.Load(), Dialled: loader.dialled.Load(), Cut: loader.cut.Load(),
		SlowestMilliseconds: loader.slowest.Load(),
	})
}
