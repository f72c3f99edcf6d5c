// Gen writes methods_gen.go of package wire from the specification of AMQP
// 0-9-1 with RabbitMQ's extensions, which the module amqp091-go carries:
//
//	go generate ./broker/embedded/internal/wire
package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: gen FILE")
		os.Exit(2)
	}
	if err := run(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "gen:", err)
		os.Exit(1)
	}
}

func run(name string) error {
	source, err := generated()
	if err != nil {
		return err
	}
	return os.WriteFile(name, source, 0o644)
}

// generated returns the text of methods_gen.go.
func generated() ([]byte, error) {
	dir, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/rabbitmq/amqp091-go").Output()
	if err != nil {
		return nil, fmt.Errorf("find amqp091-go: %w", err)
	}
	text, err := os.ReadFile(filepath.Join(string(bytes.TrimSpace(dir)), "spec", "amqp0-9-1.stripped.extended.xml"))
	if err != nil {
		return nil, err
	}
	p, err := parse(text)
	if err != nil {
		return nil, err
	}
	return render(p)
}
