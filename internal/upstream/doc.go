// Package upstream asks model servers over HTTP/1.1, on the hot path of the gateway.
//
// net/http's Transport drives each connection by two goroutines and hands a request from one to the
// other four times; that is half of what a proxied request costs. Here the request's own goroutine
// does all of it: it takes a connection, writes and reads in one step, and hands the body on from where it lies. Only a body that is streamed from the client is written by a
// goroutine of its own, so that an answer that comes before its end is seen.
//
// # The way of a request
//
//  1. Host.Do takes the connection that was used last, if its socket says that it is open and silent, or
//     dials. Bytes that nobody asked for, a poisoned answer, close it.
//  2. write.go: one buffer holds the head and a small body. Looking at the socket, sending them and
//     beginning to wait for the answer are one step of package socket.
//  3. conn.go: a head that leaves no doubt is read by package head, all others by http.ReadResponse, under a limit of bytes and
//     time; 1xx answers go to Request.Informed, at most as many as fit the same limit.
//  4. inbox.go holds what has come, only while there is something. body.go hands out the body's bytes under the request's
//     deadlines, chunks.go finds them between their frames; what is unusual there, as trailers are, is read by net/http from
//     that chunk on. flow.go reads a stream as one step of the socket, from its first piece to its last. At the body's end the connection is kept, in all other cases it is closed.
//
// # Promises
//
//   - A context that ends closes the connection at once, whatever it is doing.
//   - A kept connection that its server has closed, or spoken on, is found out before anything is written on it, and
//     passed over.
//   - A request is sent again only on a new connection, once, if it was sent on a kept one, not one
//     byte of an answer came, its body is in memory, and its method may be repeated or the connection
//     had been idle for so long (idleLong) that the server's own time limit is the reason.
//   - Nothing is decoded, added or followed: no compression, no redirect, no proxy, no cookie.
//   - What an answer holds beyond its end is never taken for a next one.
package upstream
