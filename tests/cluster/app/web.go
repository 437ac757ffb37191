package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"strings"
	"time"
)

func (app *server) httpService() service  { return webService(httpPort, app.routes(), nil) }
func (app *server) httpsService() service { return webService(httpsPort, app.routes(), selfSigned()) }

func (app *server) grpcService() service {
	return webService(grpcPort, http.HandlerFunc(app.grpcHealth), nil)
}

// webService is HTTP/1.1 and HTTP/2 on a port: in clear text (HTTP/2 with prior knowledge, as gRPC speaks it) or TLS.
func webService(port *int, handler http.Handler, certificate *tls.Config) service {
	return func() (func(context.Context), error) {
		if *port == 0 {
			return func(context.Context) {}, nil
		}
		listener, err := net.Listen("tcp", fmt.Sprintf(":%d", *port))
		if err != nil {
			return nil, err
		}
		if certificate != nil {
			listener = tls.NewListener(listener, certificate)
		}
		protocols := new(http.Protocols)
		protocols.SetHTTP1(true)
		protocols.SetUnencryptedHTTP2(true)
		web := &http.Server{Handler: handler, Protocols: protocols}
		go web.Serve(listener)
		return func(patience context.Context) {
			if patience == nil {
				web.Close()
				return
			}
			web.Shutdown(patience)
		}, nil
	}
}

func (app *server) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/", identify)
	mux.HandleFunc("/health", func(answer http.ResponseWriter, _ *http.Request) { app.health(answer) })
	mux.HandleFunc("/moved", func(answer http.ResponseWriter, request *http.Request) {
		http.Redirect(answer, request, "/health", http.StatusFound)
	})
	// A probe that the kubelet's httpHeaders must have reached: a header, and a Host in the place of the address.
	mux.HandleFunc("/strict", func(answer http.ResponseWriter, request *http.Request) {
		if request.Host != "probe.example" || request.Header.Get("X-Probe") != "yes" {
			http.Error(answer, "expected Host probe.example and X-Probe yes", http.StatusTeapot)
			return
		}
		app.health(answer)
	})
	// The test reads hooks in the container's log, which outlives the container.
	mux.HandleFunc("/hook/{name}", func(_ http.ResponseWriter, request *http.Request) {
		fmt.Println("hook", request.PathValue("name"))
	})
	return mux
}

func (app *server) health(answer http.ResponseWriter) {
	if !app.well() {
		http.Error(answer, "ill", http.StatusServiceUnavailable)
	}
}

// identify says who answered, and who asked as far as the application can see.
func identify(answer http.ResponseWriter, request *http.Request) {
	host, _, _ := net.SplitHostPort(request.RemoteAddr)
	json.NewEncoder(answer).Encode(map[string]string{"pod": os.Getenv("HOSTNAME"), "remote": host})
}

// The gRPC health protocol (grpc.health.v1): one call, written out, because it is 20 lines and a library 20 MB.
const (
	grpcOK, grpcNotFound, grpcUnimplemented = "0", "5", "12"
	serving, notServing                     = 1, 2
	grpcService                             = "shop" // besides "", the server as a whole
)

func (app *server) grpcHealth(answer http.ResponseWriter, request *http.Request) {
	answer.Header().Set("Content-Type", "application/grpc")
	answer.Header().Set("Trailer", "Grpc-Status")
	status, message := app.check(request)
	answer.Write(message)
	answer.(http.Flusher).Flush() // headers leave now, so that what is set next is a trailer
	answer.Header().Set("Grpc-Status", status)
}

func (app *server) check(request *http.Request) (status string, message []byte) {
	if request.URL.Path != "/grpc.health.v1.Health/Check" {
		return grpcUnimplemented, nil
	}
	// A message is a flag byte and four of length; HealthCheckRequest is field 1, a string, or nothing.
	body, _ := io.ReadAll(io.LimitReader(request.Body, 1024))
	if len(body) > 7 && string(body[7:]) != grpcService {
		return grpcNotFound, nil
	}
	answer := []byte{0x08, serving} // field 1, an enum
	if !app.well() {
		answer[1] = notServing
	}
	return grpcOK, append(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(answer))), answer...)
}

func selfSigned() *tls.Config {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(24 * time.Hour)}
	raw, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		panic(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{raw}, PrivateKey: key}}}
}

// get [--header NAME=VALUE]… URL: prints the body; a status from 400 on is an error.
func get(arguments []string) error {
	if len(arguments) == 0 {
		return fmt.Errorf("expected a URL")
	}
	url := arguments[len(arguments)-1]
	request, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	for _, header := range arguments[:len(arguments)-1] {
		name, value, _ := strings.Cut(strings.TrimPrefix(header, "--header="), "=")
		request.Header.Set(name, value)
	}
	client := http.Client{
		Timeout:   clientPatience,
		Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true},
	}
	answer, err := client.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	fmt.Print(string(body))
	if err == nil && answer.StatusCode >= 400 {
		err = fmt.Errorf("%s answered %s", url, answer.Status)
	}
	return err
}
