// Package demo runs a whole Sluice in one process, on real models, real data and real traffic:
//
//  1. servers.go: one model server per version, on free ports of the loopback;
//  2. demo.go: a server with embedded storage in a temporary folder, and the releases, one after the
//     other, through the public API;
//  3. traffic.go: users who come and return and tell the outcome later, through the gateway;
//  4. plan.go: the Model file of the demo, with spans of seconds instead of hours.
//
// Nothing in it is staged: which release succeeds and which is rolled back is Sluice's decision on
// what the traffic shows.
package demo
