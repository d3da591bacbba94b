// Package front serves HTTP/1.1 on connections without TLS for less than net/http's server does: no goroutine
// beside each request, no memory of an idle connection but its own few words, no deadline set anew per request.
//
// It understands only what nearly all requests are: a complete, well-formed head of at most 8 KiB and 64 headers, one Host, a
// body of a known length or none. Anything else (HTTP/2 by prior knowledge, HTTP/1.0, chunks, Upgrade, Expect,
// folded lines, garbage) goes to an http.Server with all bytes that have come, and the connection stays there.
// So what is unusual is judged by net/http alone, and what is usual is read by package head, which makes of it what
// net/http would.
//
//	accept -> conn.serve -> next (head.Request) -> exchange -> Handler -> response
//	            |             └ unusual -> handover -> http.Server
//	            └ flow: the same for requests that come whole, in one read of the socket from the first to the last
//
// Where this differs from net/http's server, which else is the oracle of its tests, is in docs/decisions/0012.
//
// A connection of HTTP/2 by prior knowledge is net/http's to serve, too, but read and written here (prior): what has come
// is one read, and what several streams have to say is one write.
//
// A client that goes away is noticed once a request has lasted for watchAfter: on Linux the system tells one goroutine of
// all clients (socket.Hangups), elsewhere a goroutine beside the request reads ahead.
package front
