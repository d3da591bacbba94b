// Package controller is the loop that takes decisions: once a second, for each running release,
//
//  1. read what the gateways serve and what the folder has counted (Gateways, Evidence);
//  2. let judge say what the data mean;
//  3. hand both to rollout.Step through records, which makes the outcome durable in one commit that
//     carries the leader's lease;
//  4. publish the routing that follows, and run the effects that the state still asks for, each
//     idempotent by its key and acknowledged once done.
//
// All that it knows between two ticks is a cache: a controller that is killed at any moment is
// replaced by one that reads the same state and goes on. Operators' commands do not come through
// here; they go straight to records and the next tick sees what they did.
package controller
