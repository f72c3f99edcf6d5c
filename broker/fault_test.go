package broker_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/magne-actors/magne-actors/broker"
)

func TestFaultOf(t *testing.T) {
	closed := func(code int, more ...error) error {
		err := fmt.Errorf("consume: %w: %w", broker.ErrChannelClosed, &broker.ReplyError{Code: code, Text: "REASON"})
		return errors.Join(append(more, err)...)
	}
	for _, c := range []struct {
		err  error
		want broker.Fault
		code int
	}{
		{nil, broker.FaultNone, 0},
		{errors.New("EOF"), broker.FaultLost, 0},
		{fmt.Errorf("dial: %w", broker.ErrUnreachable), broker.FaultUnreachable, 0},
		{broker.ErrSilent, broker.FaultSilent, 0},
		{fmt.Errorf("%w: %w", broker.ErrDenied, &broker.ReplyError{Code: 403}), broker.FaultDenied, 403},
		{fmt.Errorf("%w: %w: %w", broker.ErrDenied, broker.ErrVhost, &broker.ReplyError{Code: 530}), broker.FaultVhost, 530},
		{fmt.Errorf("consume: %w", broker.ErrCancelled), broker.FaultCancelled, 0},
		{closed(541), broker.FaultChannelClosed, 541},
		{closed(405), broker.FaultChannelClosed, 405},
		{closed(403), broker.FaultForbidden, 403},
		{closed(403, broker.ErrDenied), broker.FaultForbidden, 403},
		{closed(404, broker.ErrTopology), broker.FaultTopology, 404},
		{closed(406, broker.ErrAckTimeout), broker.FaultAckTimeout, 406},
		{closed(406, broker.ErrUnknownTag), broker.FaultUnknownTag, 406},
	} {
		if got := broker.FaultOf(c.err); got != c.want {
			t.Errorf("%v: got %q, want %q", c.err, got, c.want)
		}
		if got := broker.ErrorCode(c.err); got != c.code {
			t.Errorf("%v: got code %d, want %d", c.err, got, c.code)
		}
	}
}
