package supervisor

// Malformed is a message at which a supervisor panics, as it would at a mistake
// in its own code.
var Malformed any = childUp{}
