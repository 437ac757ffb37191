package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net/http"
)

// grpc ADDRESS SERVICE: asks the gRPC health service about a service, and prints the status of the call ("0" is OK).
func grpc(arguments []string) error {
	if len(arguments) != 2 {
		return fmt.Errorf("expected an address and a service's name, got %q", arguments)
	}
	service := arguments[1]
	if len(service) > 127 { // from there on a length takes two bytes
		return fmt.Errorf("expected a name of at most 127 bytes, got %d", len(service))
	}
	// HealthCheckRequest: field 1, a string; before it the flag of no compression and the length.
	message := append([]byte{0x0a, byte(len(service))}, service...)
	body := append(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(message))), message...)
	request, err := http.NewRequest(http.MethodPost, "http://"+arguments[0]+"/grpc.health.v1.Health/Check", bytes.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/grpc")
	request.Header.Set("TE", "trailers")
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	client := http.Client{Timeout: clientPatience, Transport: &http.Transport{Protocols: protocols}}
	answer, err := client.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if _, err := io.Copy(io.Discard, answer.Body); err != nil {
		return err
	}
	status := answer.Trailer.Get("Grpc-Status")
	if status == "" {
		return fmt.Errorf("no status from %s: %s", arguments[0], answer.Status)
	}
	fmt.Println(status)
	return nil
}
