package main

import (
	"bufio"
	"bytes"
	"io"
	"net"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

const (
	firstWindow = 65535 // RFC 9113, section 6.9.2: until the other end says otherwise
	// How much is taken before it is given back: half of what the other end may send, so that it never has to wait.
	creditStep = firstWindow / 2
	buffer     = 64 << 10
)

// A connection is one end of HTTP/2: frames in and out, and windows both ways.
type connection struct {
	*http2.Framer
	in      *bufio.Reader
	out     *bufio.Writer
	encoder *hpack.Encoder
	block   bytes.Buffer

	window  int64 // what may be sent on all streams together
	initial int64 // of each new stream
	taken   uint32
	streams map[uint32]*stream
}

// A stream is one call.
type stream struct {
	id       uint32
	window   int64
	taken    uint32
	waiting  []byte // not sent for want of window
	answered bool   // the response's headers are sent, or have come
	ended    bool   // the other end has said all
	whole    int    // bytes that have come of the message that is under way; of a client
}

func newConnection(socket net.Conn) *connection {
	ours := &connection{
		in: bufio.NewReaderSize(socket, buffer), out: bufio.NewWriterSize(socket, buffer),
		window: firstWindow, initial: firstWindow, streams: map[uint32]*stream{},
	}
	ours.Framer = http2.NewFramer(ours.out, ours.in)
	ours.Framer.SetReuseFrames()
	ours.Framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	ours.encoder = hpack.NewEncoder(&ours.block)
	return ours
}

// next is the next frame. What was written leaves before anything is waited for.
func (ours *connection) next() (http2.Frame, error) {
	if ours.in.Buffered() == 0 {
		if err := ours.out.Flush(); err != nil {
			return nil, err
		}
	}
	return ours.ReadFrame()
}

// headers begins or ends a message. Names and values alternate.
func (ours *connection) headers(id uint32, end bool, fields ...string) error {
	ours.block.Reset()
	for at := 0; at < len(fields); at += 2 {
		ours.encoder.WriteField(hpack.HeaderField{Name: fields[at], Value: fields[at+1]})
	}
	return ours.WriteHeaders(http2.HeadersFrameParam{
		StreamID: id, BlockFragment: ours.block.Bytes(), EndHeaders: true, EndStream: end,
	})
}

// send sends what the windows allow and keeps the rest.
func (ours *connection) send(one *stream, data []byte) error {
	if len(one.waiting) > 0 {
		one.waiting = append(one.waiting, data...)
		data = one.waiting
	}
	now := min(int64(len(data)), one.window, ours.window)
	if now > 0 {
		if err := ours.WriteData(one.id, false, data[:now]); err != nil {
			return err
		}
		one.window -= now
		ours.window -= now
	}
	one.waiting = append([]byte(nil), data[max(now, 0):]...)
	return nil
}

// took gives back what has come, on the connection and on a stream that goes on.
func (ours *connection) took(one *stream, size uint32) error {
	ours.taken += size
	if ours.taken >= creditStep {
		if err := ours.WriteWindowUpdate(0, ours.taken); err != nil {
			return err
		}
		ours.taken = 0
	}
	if one == nil {
		return nil
	}
	one.taken += size
	if one.taken >= creditStep {
		if err := ours.WriteWindowUpdate(one.id, one.taken); err != nil {
			return err
		}
		one.taken = 0
	}
	return nil
}

// housekeeping answers frames that are not about a call. It says of which streams more may be sent now.
func (ours *connection) housekeeping(frame http2.Frame) ([]*stream, error) {
	switch frame := frame.(type) {
	case *http2.SettingsFrame:
		if frame.IsAck() {
			return nil, nil
		}
		if size, said := frame.Value(http2.SettingInitialWindowSize); said {
			for _, one := range ours.streams {
				one.window += int64(size) - ours.initial
			}
			ours.initial = int64(size)
		}
		return ours.held(), ours.WriteSettingsAck()
	case *http2.PingFrame:
		if frame.IsAck() {
			return nil, nil
		}
		return nil, ours.WritePing(true, frame.Data)
	case *http2.WindowUpdateFrame:
		if frame.StreamID == 0 {
			ours.window += int64(frame.Increment)
			return ours.held(), nil
		}
		if one := ours.streams[frame.StreamID]; one != nil {
			one.window += int64(frame.Increment)
			return []*stream{one}, nil
		}
	case *http2.GoAwayFrame:
		return nil, io.EOF
	}
	return nil, nil
}

func (ours *connection) held() []*stream {
	var held []*stream
	for _, one := range ours.streams {
		if len(one.waiting) > 0 {
			held = append(held, one)
		}
	}
	return held
}
