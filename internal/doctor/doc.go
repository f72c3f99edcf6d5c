// Package doctor judges a configuration together with the broker that it is for:
// what would fail, what would be lost on the quiet, and what cannot be told.
//
//	facts := doctor.Of(file)
//	err := facts.Ask(ctx, admin, doctor.Questions{Want: want})
//	for _, finding := range doctor.Judge(facts) { ... }
//
// # Guarantees
//
// [Judge] is a pure function of [Facts]: what is not known is a finding of its own
// (Unknown) and never taken for right. [Facts.Ask] changes nothing on the broker. A
// finding says what is wrong, where in the configuration it comes from, and what to
// do about it. No password is in any of them.
package doctor
