package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/magne-actors/magne-actors/config"
	"github.com/magne-actors/magne-actors/internal/control"
)

// findBroker asks for the status of the embedded broker of f where run and broker
// have their sockets, and returns the socket that answered. A broker with another
// directory is another one.
func findBroker(ctx context.Context, f *config.File, status any) (socket string, err error) {
	dir, err := filepath.Abs(f.Broker.Embedded.Dir)
	if err != nil {
		return "", fmt.Errorf("find the embedded broker: %w", err)
	}
	var errs []error
	for _, socket := range []string{socketOf(f), soloSocket(f.Broker.Embedded.Dir)} {
		var who brokerStatus
		err := control.Client{Socket: socket}.Broker(ctx, &who)
		if err == nil && who.Dir != dir {
			err = fmt.Errorf("control: socket %q: %w with the directory %s", socket, control.ErrNoBroker, dir)
		}
		if err == nil {
			return socket, control.Client{Socket: socket}.Broker(ctx, status)
		}
		errs = append(errs, err)
	}
	return "", errors.Join(errs...)
}
