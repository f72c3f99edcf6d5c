// Package topology says which exchanges, queues and bindings a configuration wants,
// and compares them with what a broker has.
//
//	want, err := topology.Of(file, topology.Options{})
//	facts, err := topology.Look(ctx, admin, want, topology.Sources{})
//	plan := topology.Compare(want, facts)
//
// # Guarantees
//
// [Of], [Compare] and [Permissions] are pure functions. [Look] changes nothing on
// the broker; [Apply] makes what a plan lacks, in an order in which nothing leads
// into the void, and touches nothing that exists. What cannot be told is [Unknown]
// and never taken for right.
//
// Arguments of a queue or an exchange cannot be changed once it exists: RabbitMQ
// refuses another declaration with 406 PRECONDITION_FAILED. Names of ours carry a
// version for that reason, magne.v1.
package topology
