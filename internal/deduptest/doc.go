// Package deduptest is the suite that every dedup.Store passes.
//
// [Run] checks that of many who begin a key at once one gets it, that a lease ends and
// moves on with a larger token, that a holder whose lease has moved on changes nothing,
// and that a key that is done stays done.
package deduptest
