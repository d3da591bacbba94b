package main

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"
)

const answerSize = 1100 // bytes of a model's answer

// runServer is a model server that costs next to nothing: it reads a request's head and body and writes the same answer, or
// streams events if the query asks for them.
func runServer(_ []string, out io.Writer) error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Fprintln(out, l.Addr())
	for {
		c, err := l.Accept()
		if err != nil {
			return err
		}
		go serveConn(c)
	}
}

var (
	answerBody = bytes.Repeat([]byte{'x'}, answerSize)
	answer     = fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nDate: Mon, 01 Jan 2024 00:00:00 GMT\r\nContent-Length: %d\r\n\r\n%s", answerSize, answerBody)
)

func serveConn(c net.Conn) {
	defer func() { _ = c.Close() }()
	var query string
	serve := func(m message) (more bool, err error) {
		parts := bytes.SplitN(m.line, []byte(" "), 3)
		if len(parts) != 3 {
			return false, fmt.Errorf("bad request line %q", m.line)
		}
		if _, q, ok := bytes.Cut(parts[1], []byte("?events=")); ok {
			query = string(q)
			return false, nil
		}
		_, err = c.Write(answer)
		return err == nil, err
	}
	for in := newMessages(c); in.each(serve) == nil; {
		if err := streamEvents(c, query); err != nil {
			return
		}
	}
}

// streamEvents streams n events, one each gap: "?events=200,10ms".
func streamEvents(c net.Conn, query string) error {
	count, gap, _ := strings.Cut(query, ",")
	n, err := strconv.Atoi(count)
	if err != nil {
		return err
	}
	every, err := time.ParseDuration(gap)
	if err != nil {
		return err
	}
	if _, err := io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"); err != nil {
		return err
	}
	event := `data: {"choices":[{"index":0,"delta":{"content":" token"},"finish_reason":null}]}` + "\n\n"
	chunk := fmt.Sprintf("%x\r\n%s\r\n", len(event), event)
	tick := time.NewTicker(every)
	defer tick.Stop()
	for range n {
		<-tick.C
		if _, err := io.WriteString(c, chunk); err != nil {
			return err
		}
	}
	_, err = io.WriteString(c, "0\r\n\r\n")
	return err
}
