// Package config reads magne.yaml and turns it into [actors.Options].
//
//	f, err := config.Load("magne.yaml")
//	if err != nil {
//		return err // every mistake in the file, each with line and key
//	}
//	for _, w := range f.Warnings() {
//		log.Warn(w.Error())
//	}
//	o, err := f.Options(log, mux) // mux: handlers of a program; nil if the file names them all
//	if err != nil {
//		return err
//	}
//	sys, err := actors.New(o)
//
// A value comes from, in this order: the environment variable of its key
// (MAGNE_POOLS_LATENCY_WORKERS for pools.latency.workers), the file, the default.
//
// What the package promises:
//
//   - Strict: a key that is not known, is given twice, has the wrong type, is out
//     of range or contradicts another one is an error. All errors are reported at
//     once, as [Errors], each with its place.
//   - Whatever the input, Parse returns: it does not panic and its time and
//     memory are bounded, anchors and aliases included.
//   - No error, warning or dump contains a value that is a secret ([Secret]). A value
//     out of a ${VARIABLE} that cannot be used is not quoted either.
//   - One table (keys.go) says which keys there are. Validation,
//     defaults, [Schema], [Example] and docs/configuration.md are made from it.
//   - Reading does no input or output other than the file, the environment and the
//     files of secrets and certificates. It looks whether directories, programs and a
//     cgroup are there, for the errors and warnings.
//   - [Diff] is pure: two configurations in, what a reload does out.
//
// This is the only package that imports viper, which lower-cases keys: see load.go
// for how names keep their case.
package config
