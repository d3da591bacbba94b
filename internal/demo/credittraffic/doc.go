// Package credittraffic makes the requests of the credit demo: a seeded, endless sequence that depends on its
// Config alone.
//
//  1. Source.Next says who asks and about which applicant: a Request.
//  2. Templates writes that request's body and knows the outcome that becomes known later.
//
// # Users
//
// A pool holds the Users who are active now, each with an activity. With probability NewShare a request comes
// from somebody new, who takes the place of the oldest in the pool; otherwise one of the pool asks, with
// probability proportional to the activity. Activities are Pareto: P(activity > a) = a^-Tail for a >= 1, cut at
// MaxActivity. With Tail = 1.3 the mean is some four times the median and the variance, but for the cut, infinite:
// many ask once, a few hundreds of times.
//
// The pool is full from the first request (its members were users before the demo began), so the sequence is
// stationary: shares of new and returning users, and of heavy ones, do not drift. A user stays for Users/NewShare
// requests and asks 1/NewShare times in the mean. At r requests per second, r*NewShare users per second are new.
//
// # Applicants
//
// Users are not rows: each request draws one of the held-out applicants, all alike, whoever asks. Every user
// has the same case mix therefore, and a row keeps no user.
package credittraffic
