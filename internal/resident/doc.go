// Package resident keeps the resident memory of a long-lived process near what it needs.
//
// Two things stay in memory without being needed any more. Half of the program's pages that are resident after a start
// were touched by the start alone: tables, initialisation, parts that run once. And the garbage collector lets a heap grow
// to twice of what lives before it looks, and keeps what a burst needed, which costs nothing while the process is busy and
// is only memory when it is not.
//
// So garbage and the clean pages of the program are given back when the start is over, and later on when little is
// allocated and much could be had. What is needed of the program comes back from the system's page cache as it is touched,
// 64 KiB at a time. A busy process is left to the collector. Why so, and what it costs: docs/decisions/0017.
package resident
