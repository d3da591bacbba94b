// Package suite is the test environment: it reads Suite files and runs them against one version of a
// model, before a user or a copied request reaches it.
//
// A suite has three families. Functional cases send requests, written in the file or made from rows of a
// data file, and check the answers; gates judge a whole data file ("AUC at least 0.7") by an interval, so
// that too few rows are undecided and never a pass. Performance cases send an open-loop load and compare
// latency, throughput and errors with limits and with the live version in the same run. Exceptions send
// what must not break a version: a battery made from one sound request, and cases of one's own.
//
// The way of a suite:
//
//  1. Load reads the file and the data that it names; Bundle makes one text of both, which travels with
//     sluice apply and is read by Unbundle. Every fault that needs no server is found here, with its line.
//  2. Run sends functional cases (several at once), then performance, then exceptions, and returns a Report.
//  3. Report says per case passed, failed, undecided or skipped, in words and numbers, and writes itself as
//     table, JSON, JUnit XML and HTML.
//
// Invariants: a suite without a case or with a missing data file is an error; a required case that failed,
// was undecided or never ran fails the suite; requests go to the base URLs of Options only, redirects are not
// followed; data files lie in the suite's folder; every answer, request, case and run is bounded in size and
// time; with the same seed the same requests are sent and the results are listed in the order of the file.
// What a server answers is shortened and cleared of control characters before it is shown.
//
// Files: file.go the types of the file; load.go, check*.go reading and checking; bundle.go; template.go and
// data.go requests from rows; client.go sending; expect.go expectations; functional.go, gate.go, measure.go
// and interval.go data gates; performance.go; battery*.go; report.go, write.go, html.go.
package suite
