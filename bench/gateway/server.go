package main

import (
	"bufio"
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
	r := bufio.NewReaderSize(c, 8<<10)
	for {
		path, length, err := readHead(r)
		if err != nil {
			return
		}
		if _, err := r.Discard(length); err != nil {
			return
		}
		if _, query, ok := strings.Cut(path, "?events="); ok {
			if err := streamEvents(c, query); err != nil {
				return
			}
			continue
		}
		if _, err := c.Write(answer); err != nil {
			return
		}
	}
}

// readHead reads a request's head and returns its target and the length of its body.
func readHead(r *bufio.Reader) (target string, length int, err error) {
	for first := true; ; first = false {
		line, err := r.ReadSlice('\n')
		if err != nil {
			return "", 0, err
		}
		line = bytes.TrimRight(line, "\r\n")
		switch {
		case first:
			parts := bytes.SplitN(line, []byte(" "), 3)
			if len(parts) != 3 {
				return "", 0, fmt.Errorf("bad request line %q", line)
			}
			target = string(parts[1])
		case len(line) == 0:
			return target, length, nil
		case len(line) > 15 && bytes.EqualFold(line[:15], []byte("content-length:")):
			if length, err = strconv.Atoi(string(bytes.TrimSpace(line[15:]))); err != nil {
				return "", 0, err
			}
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
