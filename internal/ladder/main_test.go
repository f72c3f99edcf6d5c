package ladder_test

import (
	"os"
	"testing"

	"github.com/magne-actors/magne-actors/internal/testenv"
)

func TestMain(m *testing.M) { os.Exit(testenv.Main(m).Run()) }
