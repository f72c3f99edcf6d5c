package actors

import (
	"context"
	"fmt"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/magne-actors/magne-actors/broker"
	"github.com/magne-actors/magne-actors/task"
	"github.com/magne-actors/magne-actors/task/codec"
)

// BenchmarkRoute is the cost of a task in this process, without a broker: pump,
// router, worker, goroutine, decoding, handler and settlement decision. One
// iteration is one task.
func BenchmarkRoute(b *testing.B) {
	bodies := map[string][]byte{"json": []byte(`{"task":"t","id":"0192-4711","args":[1,"two"],"kwargs":{"three":3}}`)}
	for _, mode := range []Mode{Coroutine, Thread} {
		for _, high := range []int{100, 1000, 10000} {
			b.Run(fmt.Sprintf("%s/high=%d", [...]string{"coroutine", "thread"}[mode], high), func(b *testing.B) {
				route(b, Pool{Mode: mode, Workers: 8, High: high, Slots: map[Mode]int{Coroutine: high, Thread: 1}[mode]}, bodies["json"])
			})
		}
	}
	b.Run("coroutine/high=1000/dedup=off", func(b *testing.B) {
		route(b, Pool{Workers: 8, High: 1000, Slots: 1000, Dedup: DedupOff}, bodies["json"])
	})
	b.Run("coroutine/high=1000/timeout", func(b *testing.B) {
		route(b, Pool{Workers: 8, High: 1000, Slots: 1000, Timeout: 60e9}, bodies["json"])
	})
	// A policy that says everything and is not needed costs next to nothing.
	b.Run("coroutine/high=1000/retry", func(b *testing.B) {
		policy := Retry{RetryOn: []string{"http_5*", "timeout"}, DiscardOn: []string{"*Error"}, Delay: DelayDurable}
		policy.Tasks = map[string]Retry{"t": {MaxAttempts: 9}, "u": policy}
		route(b, Pool{Workers: 8, High: 1000, Slots: 1000, Retry: policy}, bodies["json"])
	})
}

func route(b *testing.B, p Pool, body []byte) {
	b.Helper()
	mux := task.NewMux()
	mux.Handle("t", task.HandlerFunc(func(context.Context, *task.Message) error { return nil }))
	p.Mux = mux
	p.Queue = broker.Queue{Name: "work", Dead: &broker.Queue{Name: "dead"}}
	p.Codec, _ = codec.ByName("json")
	fire := &firehose{body: body, credit: make(chan struct{}, p.High), deliveries: make(chan *broker.Delivery, p.High), done: make(chan struct{})}
	s, err := New(Options{Dialer: fire, Pools: []Pool{p}})
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(b.Context())
	ended := make(chan error)
	go func() { ended <- s.Run(ctx) }()
	<-fire.credit // the consumer is there
	b.ReportAllocs()
	begin := cpu()
	for i := 0; b.Loop(); i++ {
		id := "3f2504e0-4f89-41d3-9a0c-" + strconv.Itoa(i)
		fire.deliveries <- &broker.Delivery{Tag: 1, Body: body, Properties: broker.Properties{MessageID: id}}
	}
	for s.inFlight() > 0 {
		<-fire.credit
	}
	// On a busy machine the CPU time says more than the clock.
	b.ReportMetric(float64(cpu()-begin)/float64(b.N), "cpu-ns/op")
	cancel()
	if err := <-ended; err != nil {
		b.Fatal(err)
	}
}

// cpu is the CPU time of this process so far, in nanoseconds.
func cpu() int64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return u.Utime.Nano() + u.Stime.Nano()
}

// firehose is a broker that delivers as fast as it can and forgets.
type firehose struct {
	body       []byte
	settled    func(int)
	credit     chan struct{}
	deliveries chan *broker.Delivery
	done       chan struct{}
}

func (f *firehose) Dial(context.Context) (broker.Session, error) { return f, nil }

func (f *firehose) Consume(_ context.Context, s broker.Source) (broker.Consumer, error) {
	f.settled = s.Settled
	f.credit <- struct{}{}
	return f, nil
}

func (f *firehose) Blocked() (string, time.Time) { return "", time.Time{} }

func (f *firehose) Declare(context.Context, broker.Queue) error  { return nil }
func (f *firehose) Apply(context.Context, broker.Topology) error { return nil }

func (f *firehose) Settle(uint64, broker.Verdict) error {
	f.settled(1)
	select {
	case f.credit <- struct{}{}:
	default:
	}
	return nil
}

func (f *firehose) Publish(context.Context, *broker.Publication, func(error)) error {
	return broker.ErrClosed
}

func (f *firehose) Tag() string                         { return "hose" }
func (f *firehose) Deliveries() <-chan *broker.Delivery { return f.deliveries }
func (f *firehose) Cancel(context.Context) error        { close(f.deliveries); return nil }
func (f *firehose) Done() <-chan struct{}               { return f.done }
func (f *firehose) Err() error                          { return nil }
func (f *firehose) Close(context.Context) error         { return nil }
