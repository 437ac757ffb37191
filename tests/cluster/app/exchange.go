package main

import (
	"bufio"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// The exchange protocol, by which tests count bytes: the client sends a head (how many bytes it wants back, and over
// how many milliseconds), fills up with a pattern to the size it was told, and closes its half. The server answers with
// so many bytes of the pattern after it has read to the end, or with nothing where a byte was not as it should be.
const headFormat = "%010d%05d\n"

const (
	headSize       = 16
	clientPatience = 20 * time.Second
	period         = 251 // a prime, so that a lost or doubled block of any usual size breaks the pattern
	slices         = 20  // into which a reply that takes time is cut
)

func pattern(size int) []byte {
	bytes := make([]byte, size)
	for i := range bytes {
		bytes[i] = byte(i % period)
	}
	return bytes
}

// readPattern reads to the end and says how many bytes came, and whether they were the pattern.
func readPattern(from io.Reader) (size int, intact bool, err error) {
	reader, intact := bufio.NewReaderSize(from, 1<<16), true
	for {
		each, err := reader.ReadByte()
		if err == io.EOF {
			return size, intact, nil
		}
		if err != nil {
			return size, intact, err
		}
		intact = intact && each == byte(size%period)
		size++
	}
}

func tcpService() (func(context.Context), error) {
	listener, err := net.Listen("tcp", fmt.Sprintf(":%d", *tcpPort))
	if err != nil {
		return nil, err
	}
	var open sync.WaitGroup
	go func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			open.Go(func() { answer(connection) })
		}
	}()
	return func(patience context.Context) {
		listener.Close()
		if patience != nil {
			open.Wait()
		}
	}, nil
}

func answer(connection net.Conn) {
	defer connection.Close()
	head := make([]byte, headSize)
	var size, milliseconds int
	if _, err := io.ReadFull(connection, head); err != nil {
		return
	}
	if _, err := fmt.Sscanf(string(head), headFormat, &size, &milliseconds); err != nil {
		return
	}
	if _, intact, err := readPattern(connection); err != nil || !intact {
		return
	}
	reply := pattern(size)
	if milliseconds > 0 {
		step, pause := max(size/slices, 1), time.Duration(milliseconds)*time.Millisecond/slices
		for ; len(reply) > step; reply = reply[step:] {
			connection.Write(reply[:step])
			time.Sleep(pause)
		}
	}
	connection.Write(reply)
}

// exchange [--send N] [--receive N] [--over DURATION] ADDRESS: fails unless every byte arrived as it should.
func exchange(arguments []string) error {
	flags := flag.NewFlagSet("exchange", flag.ExitOnError)
	send := flags.Int("send", headSize, "bytes to send, at least the 16 of the head")
	receive := flags.Int("receive", 1, "bytes to ask for")
	over := flags.Duration("over", 0, "time that the reply is to take")
	flags.Parse(arguments)
	if flags.NArg() != 1 || *send < headSize {
		return fmt.Errorf("expected --send of at least %d and one address, got %q", headSize, arguments)
	}
	connection, err := net.DialTimeout("tcp", flags.Arg(0), clientPatience)
	if err != nil {
		return err
	}
	defer connection.Close()
	connection.SetDeadline(time.Now().Add(clientPatience + *over))
	fmt.Fprintf(connection, headFormat, *receive, over.Milliseconds())
	if _, err := connection.Write(pattern(*send - headSize)); err != nil {
		return err
	}
	if err := connection.(*net.TCPConn).CloseWrite(); err != nil {
		return err
	}
	// Whoever waits for a connection to be open in earnest waits for this line.
	first := make([]byte, 1)
	if *receive > 0 {
		if _, err := io.ReadFull(connection, first); err != nil {
			return fmt.Errorf("no answer: %w", err)
		}
		fmt.Fprintln(os.Stderr, "answering")
	}
	size, _, err := readPattern(io.MultiReader(bytesOf(first, *receive), connection))
	if err != nil {
		return fmt.Errorf("after %d bytes: %w", size, err)
	}
	if size != *receive {
		return fmt.Errorf("expected %d bytes, got %d", *receive, size)
	}
	return json.NewEncoder(os.Stdout).Encode(map[string]int{"sent": *send, "received": size})
}
