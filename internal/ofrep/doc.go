// Package ofrep answers the OpenFeature Remote Evaluation Protocol 0.3.0: an application that calls its model servers
// itself asks here which version a user gets, and every replica answers as the gateway would.
//
//	POST {prefix}/v1/evaluate/flags/{key}   one flag; records an exposure, whose id travels as metadata
//	POST {prefix}/v1/evaluate/flags         all flags, with ETag and If-None-Match; records nothing
//	GET  {prefix}/v1/events                 server-sent events: evaluate again
//
// A flag is a model: its key the model's name, its variant the arm (live, candidate), its value {"model","version"}.
// The targeting key is the unit. Reasons are SPLIT where arms share the users, and STATIC.
//
// A bulk answer depends on the routes and the context alone: it holds no exposure id and no time, so that its ETag, the
// hash of its bytes, changes when and only when an answer does. Providers that cache all flags therefore have no
// exposure to give feedback to; those tell feedback by unit.
//
// An exposure that comes from here says who was assigned what (release.FlagEvaluated), nothing of the answer, which
// nobody here has seen: no error, no latency. Feedback that names its id counts.
package ofrep
