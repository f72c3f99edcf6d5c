package wire

//go:generate go run ./gen methods_gen.go
