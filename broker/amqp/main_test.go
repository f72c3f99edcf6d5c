package amqp_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/magne-actors/magne-actors/internal/testenv"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(testenv.Main(m)) }
