package brokertest_test

import (
	"testing"

	"github.com/magne-actors/magne-actors/broker"
	"github.com/magne-actors/magne-actors/broker/brokertest"
	"github.com/magne-actors/magne-actors/internal/fakebroker"
)

// A broker's own test calls Run with what the broker can do.
func ExampleRun() {
	suite := func(t *testing.T) {
		brokertest.Run(t, brokertest.Features{Credit: 100}, func(*testing.T) broker.Dialer { return fakebroker.New() })
	}
	_ = suite // the body of a TestConformance
}
