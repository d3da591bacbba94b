// Package capture keeps a sample of requests and answers for people to look at: opt-in by a Model file, with personal
// data taken out before anything is written, encrypted at rest, gone after its time.
//
//	Exchange -> Redactor (one per model) -> Writer's queue -> batch of JSON lines -> age file -> Read
//
// # Redaction
//
// E-mail addresses, telephone, card, bank account and national id numbers are found by pattern, and by their check digits
// where they have some, in every text value of a JSON body; values at the JSON paths that the Model file names are taken
// out whole, the paths of units always. What can't be read as the text that it says it is (broken JSON, binary bodies,
// bodies longer than the limit) is not kept at all, only its size: patterns would miss an address that is escaped or cut
// in two. Patterns are no proof: names and addresses of streets have none. Whoever captures free text should know that.
//
// # On disk
//
// DIR/MODEL/YYYYMMDDTHH/N.age, each file one batch of JSON lines, encrypted for a recipient (age-encryption.org/v1,
// X25519). The process needs the recipient alone, so the key may lie elsewhere; without a recipient a key is made beside
// the folder, readable by its owner. A batch is written aside and renamed: a crash loses the batch in memory and leaves no
// half file. Hours older than their model keeps are removed. The folder has a size limit; what finds no room is dropped
// and counted, as is what comes faster than it is written. Requests never wait.
package capture
