package wire

// NewMethod is newMethod: tests go through all methods with it.
var NewMethod = newMethod
