package main

import (
	"flag"
	"fmt"
	"hash/fnv"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"time"
)

// runReverseProxy is what one writes in an afternoon: net/http/httputil's ReverseProxy with a transport that keeps enough
// connections, and the same split.
func runReverseProxy(args []string, out io.Writer) error {
	var live, candidate string
	f := flag.NewFlagSet("reverseproxy", flag.ContinueOnError)
	f.StringVar(&live, "live", "", "")
	f.StringVar(&candidate, "candidate", "", "")
	if err := f.Parse(args); err != nil {
		return err
	}
	to := [2]*url.URL{}
	for i, a := range []string{live, candidate} {
		u, err := url.Parse("http://" + a)
		if err != nil {
			return err
		}
		to[i] = u
	}
	t := &http.Transport{MaxIdleConnsPerHost: 1024, DisableCompression: true}
	p := &httputil.ReverseProxy{Transport: t, FlushInterval: -1, Rewrite: func(r *httputil.ProxyRequest) {
		h := fnv.New64a()
		_, _ = io.WriteString(h, r.In.Header.Get("X-User-Id"))
		i := 0
		if h.Sum64()%100 < 20 {
			i = 1
		}
		r.SetURL(to[i])
		r.SetXForwarded()
	}}
	s := &http.Server{Handler: p, Protocols: new(http.Protocols), ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute}
	s.Protocols.SetHTTP1(true)
	s.Protocols.SetUnencryptedHTTP2(true)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Fprintln(out, l.Addr())
	return s.Serve(l)
}
