package publisher_test

import (
	"testing"

	"github.com/magne-actors/magne-actors/broker"
	"github.com/magne-actors/magne-actors/broker/publisher"
	"github.com/magne-actors/magne-actors/internal/fakebroker"
)

// BenchmarkSession is what the Publisher's benchmarks are to be compared with: the
// broker in memory is the same, and keeps all messages.
func BenchmarkSession(b *testing.B) {
	s, err := fakebroker.New().Dial(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if err := s.Publish(b.Context(), message("m"), func(error) {}); err != nil {
			b.Fatal(err)
		}
	}
}

func benchPublisher(b *testing.B) *publisher.Publisher {
	p, err := publisher.New(publisher.Options{Dialer: fakebroker.New()})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = p.Close(b.Context()) })
	b.ReportAllocs()
	return p
}

// BenchmarkAsync has a full window.
func BenchmarkAsync(b *testing.B) {
	p := benchPublisher(b)
	var last *publisher.Receipt
	for b.Loop() {
		r, err := p.Async(b.Context(), message("m"))
		if err != nil {
			b.Fatal(err)
		}
		last = r
	}
	if _, err := last.Result(); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkPublish waits for each, and BenchmarkPublishAndWait is its like on a session.
func BenchmarkPublish(b *testing.B) {
	p := benchPublisher(b)
	for b.Loop() {
		if err := p.Publish(b.Context(), message("m")); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkPublishAndWait(b *testing.B) {
	s, err := fakebroker.New().Dial(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if err := broker.PublishAndWait(b.Context(), s, message("m")); err != nil {
			b.Fatal(err)
		}
	}
}
