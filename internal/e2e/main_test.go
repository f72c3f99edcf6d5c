package e2e_test

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"testing"

	"github.com/magne-actors/magne-actors/internal/testenv"
)

func TestMain(m *testing.M) {
	flag.Parse()
	chosen := false
	flag.Visit(func(f *flag.Flag) { chosen = chosen || f.Name == "test.parallel" })
	if !chosen && runtime.GOMAXPROCS(0) < 4 {
		_ = flag.Set("test.parallel", "4") // the tests wait for others most of the time
	}
	code := testenv.Main(m).Run()
	if binary.dir != "" {
		if err := os.RemoveAll(binary.dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = max(code, 1)
		}
	}
	os.Exit(code)
}

// binary is magne-actors as the first test that needs it has built it.
var binary struct {
	once sync.Once
	dir  string
	path string
	err  error
}

// program returns the path of magne-actors. The first call builds it.
func program(t testing.TB) string {
	t.Helper()
	binary.once.Do(func() {
		if binary.dir, binary.err = os.MkdirTemp("", "magne-e2e-"); binary.err != nil { //nolint:usetesting // it outlives the test
			return
		}
		binary.path = filepath.Join(binary.dir, "magne-actors")
		args := []string{"build", "-o", binary.path}
		if raceEnabled {
			args = append(args, "-race")
		}
		build := exec.Command("go", append(args, "github.com/magne-actors/magne-actors/cmd/magne-actors")...)
		if out, err := build.CombinedOutput(); err != nil {
			binary.err = fmt.Errorf("build magne-actors: %w\n%s", err, out)
		}
	})
	if binary.err != nil {
		t.Fatal(binary.err)
	}
	return binary.path
}
