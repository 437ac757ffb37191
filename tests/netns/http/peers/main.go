// A server and a client of Go's net/http, for HTTP/1.1 and for HTTP/2 with prior knowledge. web.js is the same of Node.
package main

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptrace"
	"os"
	"strconv"
)

func main() {
	var err error
	switch arguments := os.Args[1:]; {
	case len(arguments) == 2 && arguments[0] == "serve":
		err = serve(arguments[1])
	case len(arguments) == 2 && arguments[0] == "tell":
		err = tell(arguments[1])
	case len(arguments) == 4 && arguments[0] == "ask":
		err = ask(arguments[1], arguments[2], arguments[3])
	default:
		err = fmt.Errorf("expected serve PORT, tell PORT, or ask h1|h2 URL COUNT; got %q", arguments)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

// serve answers with what it got; /fields with the fields alone.
func serve(port string) error {
	mux := http.NewServeMux()
	mux.HandleFunc("/fields", func(answer http.ResponseWriter, request *http.Request) { request.Header.Write(answer) })
	mux.HandleFunc("/", echo)
	web := &http.Server{Addr: ":" + port, Handler: mux, Protocols: protocols(true, true)}
	return web.ListenAndServe()
}

// echo says how long the body claimed to be. To /chunked the answer's length is unknown.
func echo(answer http.ResponseWriter, request *http.Request) {
	body, err := io.ReadAll(request.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	answer.Header().Set("x-length", strconv.FormatInt(request.ContentLength, 10))
	answer.Header().Set("x-protocol", request.Proto)
	if request.URL.Path == "/chunked" {
		answer.(http.Flusher).Flush()
	} else {
		answer.Header().Set("content-length", strconv.Itoa(len(body)))
	}
	answer.Write(body)
}

// tell says, in the field x-read of each answer, what it has read, as teller.js does. All paths and methods are its own:
// there is no ServeMux, which would answer some of them itself.
func tell(port string) error {
	quiet := log.New(io.Discard, "", 0)
	web := &http.Server{Addr: ":" + port, Handler: http.HandlerFunc(told), ErrorLog: quiet, DisableGeneralOptionsHandler: true}
	return web.ListenAndServe()
}

func told(answer http.ResponseWriter, request *http.Request) {
	early := request.URL.Path == "/early"
	fields := [][2]string{}
	if request.Host != "" {
		fields = append(fields, [2]string{"Host", request.Host})
	}
	for name, values := range request.Header {
		for _, value := range values {
			fields = append(fields, [2]string{name, latin1([]byte(value))})
		}
	}
	read := map[string]any{"method": request.Method, "target": request.RequestURI, "fields": fields, "body": nil}
	if !early {
		body, err := io.ReadAll(request.Body)
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		read["body"] = latin1(body)
	}
	text, err := json.Marshal(read)
	if err != nil {
		panic(err)
	}
	answer.Header().Set("x-read", base64.StdEncoding.EncodeToString(text))
	switch {
	case early:
		answer.WriteHeader(http.StatusRequestEntityTooLarge)
	case request.URL.Path == "/none":
		answer.WriteHeader(http.StatusNoContent)
	case request.URL.Path == "/same":
		answer.WriteHeader(http.StatusNotModified)
	}
	io.WriteString(answer, "ok")
}

// latin1 is the text whose characters are these bytes.
func latin1(bytes []byte) string {
	text := make([]rune, len(bytes))
	for at, one := range bytes {
		text[at] = rune(one)
	}
	return string(text)
}

func protocols(first, second bool) *http.Protocols {
	spoken := new(http.Protocols)
	spoken.SetHTTP1(first)
	spoken.SetUnencryptedHTTP2(second)
	return spoken
}

// body hides from net/http how long it is.
type body struct{ io.Reader }

// ask makes requests one after the other, with bodies of both lengths, and says how many connections that took.
func ask(protocol, url, count string) error {
	transport := &http.Transport{Protocols: protocols(protocol == "h1", protocol == "h2")}
	client := &http.Client{Transport: transport}
	total, err := strconv.Atoi(count)
	connections := 0
	for number := 0; number < total && err == nil; number++ {
		fresh := false
		fresh, err = exchange(client, url, number)
		if fresh {
			connections++
		}
	}
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(map[string]int{"answers": total, "connections": connections})
}

func exchange(client *http.Client, url string, number int) (fresh bool, err error) {
	content := bytes.Repeat([]byte{byte(number)}, number*1000+1)
	var sent io.Reader = bytes.NewReader(content)
	length := strconv.Itoa(len(content))
	if number%2 == 1 {
		sent, length = body{sent}, "-1"
	}
	path := []string{"/", "/chunked"}[number/2%2]
	request, err := http.NewRequest(http.MethodPost, url+path, sent)
	if err != nil {
		return false, err
	}
	trace := &httptrace.ClientTrace{GotConn: func(got httptrace.GotConnInfo) { fresh = !got.Reused }}
	answer, err := client.Do(request.WithContext(httptrace.WithClientTrace(request.Context(), trace)))
	if err != nil {
		return fresh, err
	}
	defer answer.Body.Close()
	received, err := io.ReadAll(answer.Body)
	if err == nil && (answer.StatusCode != http.StatusOK || !bytes.Equal(received, content)) {
		err = fmt.Errorf("request %d: %s, %d bytes of %d came back", number, answer.Status, len(received), len(content))
	}
	if said := answer.Header.Get("x-length"); err == nil && said != length {
		err = fmt.Errorf("request %d: the server was told of %s bytes, and not %s", number, said, length)
	}
	return fresh, err
}
