package main

import (
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/magne-actors/magne-actors/config"
	"github.com/magne-actors/magne-actors/internal/control"
)

// tokenVariable is the environment variable of control.token, which clients read,
// too.
const tokenVariable = "MAGNE_CONTROL_TOKEN"

// instanceFlags say where a running instance is.
type instanceFlags struct {
	file, socket, address, tokenFile, caFile string

	given func(flag string) bool
}

// addInstanceFlags adds the flags that find a running instance, and returns how to
// get its client.
func addInstanceFlags(cmd *cobra.Command) func() (control.Client, error) {
	f := &instanceFlags{given: cmd.Flags().Changed}
	fs := cmd.Flags()
	fs.StringVar(&f.socket, "socket", "", "control socket of the instance (default: as run with the same -c)")
	fs.StringVar(&f.address, "address", "", "control.listen of the instance in place of its socket: host:port or https://host:port;\nthe token is in $"+tokenVariable)
	fs.StringVar(&f.tokenFile, "token-file", "", "`file` with the token for --address")
	fs.StringVar(&f.caFile, "ca-file", "", "PEM `file` of the authority that has signed the certificate of --address")
	cmd.MarkFlagsMutuallyExclusive("socket", "address")
	file := addConfigFlag(cmd)
	return func() (control.Client, error) {
		f.file = *file
		if f.address != "" {
			return f.remote()
		}
		for _, flag := range []string{"token-file", "ca-file"} {
			if f.given(flag) {
				return control.Client{}, usageError(fmt.Errorf("--%s is for --address", flag), "--address names the host and the port")
			}
		}
		socket, err := f.local()
		return control.Client{Socket: socket}, err
	}
}

// local is the control socket of an instance on this machine.
func (f *instanceFlags) local() (string, error) {
	if f.socket != "" {
		return f.socket, nil
	}
	if f.file == "-" {
		return "", usageError(errors.New("stdin does not say where the instance is"), "--socket or --address does")
	}
	file, err := config.Load(f.file)
	switch {
	case file != nil: // its mistakes are the business of check and run
		return socketOf(file), nil
	case errors.Is(err, fs.ErrNotExist) && !f.given("config"):
		return control.DefaultSocket(os.Getenv), nil
	}
	return "", usageError(err, "--socket names the control socket, -c the configuration it is in")
}

// remote is the client of an instance that listens on TCP.
func (f *instanceFlags) remote() (control.Client, error) {
	c := control.Client{Address: f.address, Token: os.Getenv(tokenVariable)}
	if f.tokenFile != "" {
		text, err := os.ReadFile(f.tokenFile)
		if err != nil {
			return c, usageError(err, "--token-file names a file with the token and nothing else")
		}
		c.Token = strings.TrimSpace(string(text))
	}
	if c.Token == "" {
		return c, usageError(errors.New("there is no token for --address"), "set %s, or name a file with --token-file", tokenVariable)
	}
	if f.caFile == "" {
		return c, nil
	}
	pem, err := os.ReadFile(f.caFile)
	if err != nil {
		return c, usageError(err, "--ca-file names a file of certificates")
	}
	c.CAs = x509.NewCertPool()
	if !c.CAs.AppendCertsFromPEM(pem) {
		return c, usageError(fmt.Errorf("%s has no certificate in it", f.caFile), "--ca-file names a file of certificates in PEM")
	}
	return c, nil
}

// noInstance gives the errors of a client their exit status.
func noInstance(err error) error {
	switch {
	case errors.Is(err, control.ErrDenied):
		return failed(exitUnreachable, err, "the token is control.token of the instance: set %s or --token-file", tokenVariable)
	case errors.Is(err, control.ErrUnreachable):
		return failed(exitUnreachable, err, "is `magne-actors run` running? --socket, --address or -c says where it listens")
	case errors.Is(err, control.ErrAddress):
		return usageError(err, "--socket names the control socket of an instance, --address its control.listen")
	case errors.Is(err, control.ErrNotOffered):
		return failed(exitError, err, "the instance may be of an earlier version, or a broker alone")
	}
	return err
}
