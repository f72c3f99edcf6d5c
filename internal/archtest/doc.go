// Package archtest holds the shape of the repository: who may import whom,
// where a goroutine may start, how long a function may be. Its own test runs
// Check over the module with the rules of Project.
//
//	violations, err := archtest.Check(root, archtest.Project())
//
// A package that is in no table is a violation, too, so that each new package
// is a decision. Every violation says in words what to do.
//
// Check reads and parses files and does nothing else: no build, no network, no
// goroutine. It works on any directory tree, which is how its own test plants
// violations (testdata/planted).
package archtest
