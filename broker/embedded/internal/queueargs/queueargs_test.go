package queueargs_test

import (
	"errors"
	"maps"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/magne-actors/magne-actors/broker/embedded/internal/queueargs"
	"github.com/magne-actors/magne-actors/broker/embedded/internal/routing"
	"github.com/magne-actors/magne-actors/broker/embedded/internal/wire"
)

func TestPolicy(t *testing.T) {
	all := wire.Table{
		"x-expires": int32(1), "x-message-ttl": uint8(0), "x-max-length": int64(0), "x-max-length-bytes": int16(7),
		"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "k", "x-single-active-consumer": true,
		"x-overflow": "reject-publish-dlx",
	}
	with := func(more wire.Table) wire.Table {
		args := wire.Table{}
		for _, m := range []wire.Table{all, more} {
			maps.Copy(args, m)
		}
		return args
	}
	want := queueargs.Policy{
		Type: queueargs.Classic, Expires: new(time.Millisecond), MessageTTL: new(time.Duration(0)),
		MaxLength: new(int64(0)), MaxBytes: new(int64(7)), Overflow: queueargs.RejectPublishDLX,
		DeadLetterExchange: new(""), DeadLetterKey: new("k"), MaxPriority: 255, SingleActive: true,
	}
	asQuorum := want
	asQuorum.Type, asQuorum.MaxPriority, asQuorum.DeliveryLimit = queueargs.Quorum, 0, new(int64(-1))
	asQuorum.Overflow = queueargs.DropHead
	for name, tt := range map[string]struct {
		args wire.Table
		want queueargs.Policy
	}{
		"none":    {nil, queueargs.Policy{Type: queueargs.Classic}},
		"classic": {with(wire.Table{"x-max-priority": uint8(255)}), want},
		"quorum":  {with(wire.Table{"x-queue-type": "quorum", "x-delivery-limit": int8(-1)}), asQuorum},
		"no limit": {
			wire.Table{"x-queue-type": "quorum", "x-delivery-limit": "none", "x-overflow": "reject-publish"},
			queueargs.Policy{Type: queueargs.Quorum, Overflow: queueargs.RejectPublish},
		},
	} {
		got, err := queueargs.Declare(queueargs.Declaration{Name: "q", Durable: true, Args: tt.args})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if diff := cmp.Diff(tt.want, *got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestRefused(t *testing.T) {
	for want, args := range map[string]wire.Table{
		"PRECONDITION_FAILED - invalid arg 'x-expires' for queue 'q' in vhost '/': {value_zero,0}":                                 {"x-expires": int32(0)},
		"PRECONDITION_FAILED - invalid arg 'x-max-length' for queue 'q' in vhost '/': \"expected integer, got longstr\"":           {"x-max-length": "5"},
		"PRECONDITION_FAILED - invalid arg 'x-dead-letter-routing-key' for queue 'q' in vhost '/': routing_key_but_no_dlx_defined": {"x-dead-letter-routing-key": "k"},
		"PRECONDITION_FAILED - invalid type 'bool' for arg 'x-dead-letter-exchange' in queue 'q' in vhost '/'":                     {"x-dead-letter-exchange": true},
		"PRECONDITION_FAILED - invalid arg 'x-delivery-limit' for queue 'q' in vhost '/' of queue type rabbit_classic_queue":       {"x-delivery-limit": int32(5)},
		"PRECONDITION_FAILED - invalid arg 'x-queue-type' for queue 'q' in vhost '/': \"unsupported queue type 'stream'\"":         {"x-queue-type": "stream"},
		"PRECONDITION_FAILED - invalid property 'auto-delete' for queue 'q' in vhost '/'":                                          {"x-queue-type": "quorum"},
	} {
		_, err := queueargs.Declare(queueargs.Declaration{Name: "q", AutoDelete: true, Args: args})
		if got := text(err); got != want {
			t.Errorf("%v:\ngot  %s\nwant %s", args, got, want)
		}
	}
}

func TestServerNamed(t *testing.T) {
	if err := queueargs.ServerNamed(nil); err != nil {
		t.Error(err)
	}
	err := queueargs.ServerNamed(wire.Table{"x-queue-type": "quorum"})
	want := "PRECONDITION_FAILED - Cannot declare a server-named queue for type rabbit_quorum_queue"
	if text(err) != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestExclusive(t *testing.T) {
	exclusive := queueargs.Declaration{Name: "q", Durable: true, Exclusive: true}
	shared := queueargs.Declaration{Name: "q", Durable: true}
	for name, tt := range map[string]struct {
		old, now  queueargs.Declaration
		sameOwner bool
		locked    bool
	}{
		"shared":                {shared, shared, false, false},
		"of this connection":    {exclusive, exclusive, true, false},
		"of another connection": {exclusive, exclusive, false, true},
		"no longer exclusive":   {exclusive, shared, true, true},
		"exclusive only now":    {shared, exclusive, true, true},
	} {
		err := queueargs.Equivalent(tt.old, tt.now, tt.sameOwner)
		var code uint16
		if e, ok := errors.AsType[*routing.Error](err); ok {
			code = e.Code
		}
		if tt.locked != (code == wire.CodeResourceLocked) || !tt.locked && err != nil {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestExpiration(t *testing.T) {
	d, err := queueargs.Expiration([]byte("315360000000"))
	if d != 10*365*24*time.Hour || err != nil {
		t.Errorf("got %v %v", d, err)
	}
	if _, err = queueargs.Expiration(nil); err == nil {
		t.Error("an empty expiration is taken")
	}
}
