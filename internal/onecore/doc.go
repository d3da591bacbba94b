// Package onecore lets a process on one core work on while a part of it waits for the disk.
//
// Go runs goroutines on as many threads as there are cores. On one core a call that blocks, such as a sync, takes the only one
// along, until the runtime's monitor notices: it looks every 10 ms in a process that is busy. A second thread would cure that;
// but for ever it costs 5 to 8 % of a request, as the two wake each other for work that one of them could do. So there is
// a second one only while the disk is waited for. Nothing happens on more than one core. Why so: docs/decisions/0018.
package onecore
