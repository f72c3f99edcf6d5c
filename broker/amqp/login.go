package amqp

import (
	"context"
	"errors"
	"fmt"
	"strings"

	amqp091 "github.com/rabbitmq/amqp091-go"
)

// errMechanism: we and the broker know no login in common.
var errMechanism = errors.New("the broker does not offer our way to log in: for SASL EXTERNAL, RabbitMQ needs the plugin " +
	"rabbitmq_auth_mechanism_ssl and EXTERNAL among its auth_mechanisms; for a password, PLAIN")

// login is how we say who we are. It is made anew for each dial: the library
// wipes the password after the handshake.
func (d Dialer) login(ctx context.Context, u uri) ([]amqp091.Authentication, error) {
	if d.External {
		return []amqp091.Authentication{&amqp091.ExternalAuth{}}, nil
	}
	plain := u.PlainAuth()
	if d.Login != nil {
		user, password, err := d.Login(ctx)
		if err != nil {
			return nil, fmt.Errorf("user and password: %w", err)
		}
		plain = &amqp091.PlainAuth{Username: user, Password: password}
	} else if len(u.AuthMechanism) > 0 {
		return nil, nil // what the query of the URL asks for
	}
	return []amqp091.Authentication{plain}, nil
}

// secretError is an error whose text has contained a password.
type secretError struct {
	error
	text string
}

func (e *secretError) Error() string { return e.text }
func (e *secretError) Unwrap() error { return e.error }

// withoutSecrets makes sure that err does not show the password, whoever has
// quoted it. What we say ourselves stays as it is: a gap in it would show a password
// that is one of its words.
func withoutSecrets(err error, login []amqp091.Authentication) error {
	if errors.Is(err, errSilence) || errors.Is(err, errMechanism) {
		return err
	}
	for _, a := range login {
		if p, ok := a.(*amqp091.PlainAuth); ok && len(p.Password) >= 4 {
			if text := err.Error(); strings.Contains(text, p.Password) {
				err = &secretError{err, strings.ReplaceAll(text, p.Password, "[secret]")}
			}
		}
	}
	return err
}
