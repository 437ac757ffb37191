package main

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/net/http2"
)

const (
	prefix   = 5 // of every gRPC message: not compressed, and its length
	patience = 10 * time.Second
)

// A load is so many streams, on each of which the next message leaves when the last one has come back.
type load struct {
	to                         string
	connections, streams, size int
	time                       time.Duration
}

// run says how many messages came back within the time. Every call must then end with the status OK.
func (load load) run() (int64, time.Duration, error) {
	var count atomic.Int64
	var over atomic.Bool
	failed := make(chan error, load.connections)
	var running sync.WaitGroup
	began := time.Now()
	for range load.connections {
		running.Go(func() {
			if err := load.connection(&count, &over); err != nil {
				failed <- err
			}
		})
	}
	time.Sleep(load.time)
	done, took := count.Load(), time.Since(began)
	over.Store(true)
	running.Wait()
	select {
	case err := <-failed:
		return 0, 0, err
	default:
		return done, took, nil
	}
}

func (load load) connection(count *atomic.Int64, over *atomic.Bool) error {
	socket, err := net.DialTimeout("tcp", load.to, patience)
	if err != nil {
		return err
	}
	defer socket.Close()
	socket.SetDeadline(time.Now().Add(load.time + patience))
	ours := newConnection(socket)
	io.WriteString(ours.out, http2.ClientPreface)
	if err := ours.WriteSettings(); err != nil {
		return err
	}
	message := append(binary.BigEndian.AppendUint32([]byte{0}, uint32(load.size)), make([]byte, load.size)...)
	for number := range load.streams {
		one := &stream{id: uint32(2*number + 1), window: ours.initial}
		ours.streams[one.id] = one
		err := ours.headers(one.id, false, ":method", "POST", ":scheme", "http", ":path", "/bench.Echo/Stream",
			":authority", load.to, "te", "trailers", "content-type", "application/grpc")
		if err == nil {
			err = ours.send(one, message)
		}
		if err != nil {
			return err
		}
	}
	for len(ours.streams) > 0 {
		frame, err := ours.next()
		if err == nil {
			err = ours.hear(frame, message, count, over)
		}
		if err != nil {
			return fmt.Errorf("after %d messages: %w", count.Load(), err)
		}
	}
	return nil
}

func (ours *connection) hear(frame http2.Frame, message []byte, count *atomic.Int64, over *atomic.Bool) error {
	switch frame := frame.(type) {
	case *http2.MetaHeadersFrame:
		return ours.heads(frame)
	case *http2.DataFrame:
		one := ours.streams[frame.StreamID]
		if one == nil {
			return fmt.Errorf("data for no call: %v", frame)
		}
		if err := ours.took(one, frame.Length); err != nil {
			return err
		}
		for one.whole += len(frame.Data()); one.whole >= len(message); one.whole -= len(message) {
			count.Add(1)
			if over.Load() {
				if err := ours.WriteData(one.id, true, nil); err != nil {
					return err
				}
			} else if err := ours.send(one, message); err != nil {
				return err
			}
		}
		return nil
	case *http2.RSTStreamFrame:
		return fmt.Errorf("a call was reset: %v", frame)
	}
	more, err := ours.housekeeping(frame)
	for _, one := range more {
		if err == nil {
			err = ours.send(one, nil)
		}
	}
	return err
}

func (ours *connection) heads(frame *http2.MetaHeadersFrame) error {
	if !frame.StreamEnded() {
		if status := frame.PseudoValue("status"); status != "200" {
			return fmt.Errorf("answered %s", status)
		}
		return nil
	}
	for _, field := range frame.Fields {
		if field.Name == "grpc-status" && field.Value == "0" {
			delete(ours.streams, frame.StreamID)
			return nil
		}
	}
	return fmt.Errorf("a call ended with %v", frame.Fields)
}
