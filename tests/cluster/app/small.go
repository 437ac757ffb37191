package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

func bytesOf(first []byte, wanted int) io.Reader {
	return bytes.NewReader(first[:min(wanted, len(first))])
}

func udpService() (func(context.Context), error) {
	socket, err := net.ListenPacket("udp", fmt.Sprintf(":%d", *udpPort))
	if err != nil {
		return nil, err
	}
	go func() {
		datagram := make([]byte, 1500)
		for {
			size, from, err := socket.ReadFrom(datagram)
			if err != nil {
				return
			}
			socket.WriteTo(datagram[:size], from)
		}
	}()
	return func(context.Context) { socket.Close() }, nil
}

// udp ADDRESS TEXT: prints the echo.
func udp(arguments []string) error {
	if len(arguments) != 2 {
		return fmt.Errorf("expected an address and a text, got %q", arguments)
	}
	socket, err := net.Dial("udp", arguments[0])
	if err != nil {
		return err
	}
	defer socket.Close()
	socket.SetDeadline(time.Now().Add(clientPatience))
	io.WriteString(socket, arguments[1])
	datagram := make([]byte, 1500)
	size, err := socket.Read(datagram)
	fmt.Println(string(datagram[:size]))
	return err
}

// resolve NAME: its addresses as JSON, asked for with Go's own resolver (UDP first).
func resolve(arguments []string) error {
	if len(arguments) != 1 {
		return fmt.Errorf("expected one name, got %q", arguments)
	}
	addresses, err := (&net.Resolver{PreferGo: true}).LookupHost(context.Background(), arguments[0])
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(addresses)
}

// process NAME: the process of that name (in a pod that shares its process namespace): the fields of its
// /proc/PID/status, its pid, and the owner of that file, which is root where the process is not dumpable (proc(5)).
func process(arguments []string) error {
	pid, err := find(arguments)
	if err != nil {
		return err
	}
	path := fmt.Sprintf("/proc/%d/status", pid)
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var info syscall.Stat_t
	if err := syscall.Stat(path, &info); err != nil {
		return err
	}
	found := map[string]string{"pid": strconv.Itoa(pid), "statusOwner": strconv.Itoa(int(info.Uid))}
	for line := range strings.Lines(string(text)) {
		name, value, _ := strings.Cut(line, ":")
		found[name] = strings.TrimSpace(value)
	}
	return json.NewEncoder(os.Stdout).Encode(found)
}

// signal NAME NUMBER: sends a signal to the process of that name.
func signalProcess(arguments []string) error {
	if len(arguments) != 2 {
		return fmt.Errorf("expected a process's name and a signal's number, got %q", arguments)
	}
	number, err := strconv.Atoi(arguments[1])
	if err != nil {
		return err
	}
	pid, err := find(arguments[:1])
	if err != nil {
		return err
	}
	return syscall.Kill(pid, syscall.Signal(number))
}

func find(arguments []string) (int, error) {
	if len(arguments) != 1 {
		return 0, fmt.Errorf("expected one process's name, got %q", arguments)
	}
	names, err := filepath.Glob("/proc/[0-9]*/comm")
	if err != nil {
		return 0, err
	}
	for _, name := range names {
		if comm, err := os.ReadFile(name); err == nil && strings.TrimSpace(string(comm)) == arguments[0] {
			return strconv.Atoi(filepath.Base(filepath.Dir(name)))
		}
	}
	return 0, fmt.Errorf("no process is named %q; does the pod share its process namespace?", arguments[0])
}

// files DIRECTORY: the names in it, as JSON.
func files(arguments []string) error {
	if len(arguments) != 1 {
		return fmt.Errorf("expected one directory, got %q", arguments)
	}
	entries, err := os.ReadDir(arguments[0])
	if err != nil {
		return err
	}
	names := []string{}
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	return json.NewEncoder(os.Stdout).Encode(names)
}

// print FILE: its content, as it is.
func printFile(arguments []string) error {
	if len(arguments) != 1 {
		return fmt.Errorf("expected one file, got %q", arguments)
	}
	content, err := os.ReadFile(arguments[0])
	fmt.Print(string(content))
	return err
}

// sleep DURATION, and say when it is over.
func sleep(arguments []string) error {
	if len(arguments) != 1 {
		return fmt.Errorf("expected one duration, got %q", arguments)
	}
	duration, err := time.ParseDuration(arguments[0])
	if err != nil {
		return err
	}
	time.Sleep(duration)
	fmt.Println("slept")
	return nil
}
