// Command magne-actors consumes tasks from its embedded broker or from RabbitMQ and
// runs them under a supervision tree. `magne-actors --help` lists its commands.
//
// One file holds one command; root.go puts them together, exit.go turns errors
// into exit codes, and run is the whole program as a function.
package main

import (
	"context"
	"os"
)

func main() {
	os.Exit(run(context.Background(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}
