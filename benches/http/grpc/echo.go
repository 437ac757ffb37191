package main

import (
	"errors"
	"fmt"
	"io"
	"net"

	"golang.org/x/net/http2"
)

// echo serves one connection: every call's messages go back as they come; when the client has said all, so have we.
func echo(socket net.Conn) error {
	ours := newConnection(socket)
	preface := make([]byte, len(http2.ClientPreface))
	if _, err := io.ReadFull(ours.in, preface); err != nil || string(preface) != http2.ClientPreface {
		return fmt.Errorf("expected HTTP/2's preface, got %q (%v)", preface, err)
	}
	if err := ours.WriteSettings(http2.Setting{ID: http2.SettingMaxConcurrentStreams, Val: 1000}); err != nil {
		return err
	}
	for {
		frame, err := ours.next()
		if err == nil {
			err = ours.serve(frame)
		}
		var reset *net.OpError
		if errors.Is(err, io.EOF) || errors.As(err, &reset) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func (ours *connection) serve(frame http2.Frame) error {
	switch frame := frame.(type) {
	case *http2.MetaHeadersFrame:
		one := &stream{id: frame.StreamID, window: ours.initial, ended: frame.StreamEnded()}
		ours.streams[one.id] = one
		return ours.finish(one)
	case *http2.DataFrame:
		one := ours.streams[frame.StreamID]
		if one != nil {
			one.ended = frame.StreamEnded()
			if err := ours.answer(one, frame.Data()); err != nil {
				return err
			}
		}
		// The flow is of whole frames, with their padding.
		if err := ours.took(goingOn(one), frame.Length); err != nil {
			return err
		}
		return ours.finish(one)
	case *http2.RSTStreamFrame:
		delete(ours.streams, frame.StreamID)
		return nil
	}
	more, err := ours.housekeeping(frame)
	for _, one := range more {
		if err == nil {
			err = ours.send(one, nil)
		}
		if err == nil {
			err = ours.finish(one)
		}
	}
	return err
}

func goingOn(one *stream) *stream {
	if one == nil || one.ended {
		return nil
	}
	return one
}

func (ours *connection) answer(one *stream, data []byte) error {
	if len(data) == 0 {
		return nil
	}
	if !one.answered {
		one.answered = true
		if err := ours.headers(one.id, false, ":status", "200", "content-type", "application/grpc"); err != nil {
			return err
		}
	}
	return ours.send(one, data)
}

// finish ends a call of which all is said.
func (ours *connection) finish(one *stream) error {
	if one == nil || !one.ended || len(one.waiting) > 0 {
		return nil
	}
	delete(ours.streams, one.id)
	if !one.answered { // trailers only
		return ours.headers(one.id, true, ":status", "200", "content-type", "application/grpc", "grpc-status", "0")
	}
	return ours.headers(one.id, true, "grpc-status", "0")
}
