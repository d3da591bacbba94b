// Package natsstore keeps the contract of package store on NATS JetStream: on a server inside this
// process (OpenEmbedded) or on a cluster (OpenCluster). Both run the same code; only the number of
// replicas and the connection differ.
//
// # Layout
//
// Everything of one namespace lies below sl.<ns>. and in streams named SLUICE_<ns>_. Names are
// escaped as subjects.go says.
//
//	stream      subjects                    holds
//	…_CTRL      sl.<ns>.ctrl.<key>          the present value of a key: its head
//	            sl.<ns>.hist.<key>.<n>      an entry appended to the key when its head was at n
//	            sl.<ns>.lease.<name>        the present claim of a lease, with a time to live
//	            sl.<ns>.fence.<name>        the guard of a commit under a lease, gone after a second
//	…_LOG_<log> sl.<ns>.log.<log>           the entries of one log; sequence = sequence of the stream
//	…_BLOB      sl.<ns>.blob.m.<name>       the manifest of a blob, with the data of a small one
//	            sl.<ns>.blob.c.<name>.<id>.<i>  a chunk of a large one
//
// CTRL keeps one message per subject, so that a state that is replaced each second needs no more
// room than one that is not, while each appended entry has its own subject and stays for ever:
// the stream denies deletes and purges. An append is two messages, the entry and an empty head
// that points back to it and carries the expectation. A revision is the sequence of a head.
//
// # Guarantees
//
//  1. A commit is one atomic batch of the server. Every head carries the sequence that it
//     replaces; the lease expectation rides on the first message of the batch. It must be the
//     first: a single server that crashed within a batch finishes it at its next start and checks
//     expectations again, when the lease may be long over.
//  2. An answer is durable: the embedded server syncs before each answer (SyncAlways), a cluster
//     should be configured to.
//  3. CTRL is read from its leader only (no direct gets), and no decision rests on a read: writes
//     are guarded by what they replace.
//  4. A request without an answer is ErrUnknown; one refused or not sent is ErrUnavailable,
//     ErrFull or ErrConflict. Nothing is sent again on its own once it may have arrived, and
//     nothing is queued while the connection is down.
//  5. A follower of a log sees its entries in the order of their sequences, each once and only when it is
//     durable. In the embedded engine, where nobody else writes, they are handed over from memory as the
//     server numbered them; whatever does not come that way is read from the log (see tail.go). The
//     header Sluice-Time makes the time of an entry the same either way.
//  6. Subject delete markers are not used: they would switch DenyPurge off without a word and
//     lengthen short leases.
//
// The embedded server has a known end: a disk that is really full stops its JetStream until the
// process starts again. Space is therefore watched and refused before (see space.go).
package natsstore
