// Package head reads the heads of HTTP/1.1 messages on the gateway's hot path.
//
// net/http's parser stays the authority. This one takes only heads that leave no doubt and makes of them exactly what
// net/http makes; for all others its verdict is Unusual, and the caller gives the same bytes to net/http. So what is
// here decides nothing about odd input, and a mistake in it shows as a difference from net/http, which the tests
// look for (FuzzRequest, FuzzResponse).
//
// What leaves no doubt: lines end in CR LF, names are tokens, values hold no control characters, the framing is said once
// and in one way, nothing asks for another protocol or announces trailers, and all of it fits Max.
//
//  1. fields.go goes over the bytes once, by a table of classes, and notes where names and values are. Nothing is
//     allocated before the head is complete, and no more than a string of it before it is known to be plain.
//  2. One string is made of the head, names in their canonical form. All names and values are parts of it, and all
//     values stand in one array.
//  3. request.go and response.go make the message of that.
//
// Whoever keeps one value keeps the whole head's string, at most Max bytes; clone what must last longer than its
// message.
//
// Functions are safe for concurrent use. They keep nothing of the bytes they are given.
package head
