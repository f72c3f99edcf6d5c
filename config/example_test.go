package config_test

import (
	"context"
	"fmt"
	"strings"

	"github.com/magne-actors/magne-actors/config"
	"github.com/magne-actors/magne-actors/task"
)

// The file decides the sizes, the program brings the handlers.
func Example() {
	const file = `
version: 1
broker: {url: "${RABBIT:-amqp://guest:guest@127.0.0.1:5672/}"}
pools:
  resize: {workers: 4, slots: 8}
`
	f, err := config.Parse(strings.NewReader(file), "magne.yaml", []string{"MAGNE_POOLS_RESIZE_WORKERS=2"})
	if err != nil {
		fmt.Println(err)
		return
	}
	mux := task.NewMux()
	mux.Handle("resize", task.Func(func(context.Context, string) error { return nil }))
	o, err := f.Options(nil, mux)
	if err != nil {
		fmt.Println(err)
		return
	}
	p := o.Pools[0]
	fmt.Println(p.Name, p.Workers, p.High, p.Low, p.Mux.Names())
	// Output: resize 2 16 8 [resize]
}

// All mistakes are reported at once, each with its place.
func ExampleParse_errors() {
	const file = `version: 1
broker: {url: "http://127.0.0.1/"}
shutdown: 30
pools:
  resize:
    watermarks: {high: 10000, low: 12000}
    wrokers: 4
`
	_, err := config.Parse(strings.NewReader(file), "magne.yaml", nil)
	fmt.Println(err)
	// Output:
	// magne.yaml:2:10: broker.url: the value does not fit: write amqp://user:password@host:5672/vhost (amqps:// for TLS) or file:/path
	// magne.yaml:3:1: shutdown: 30 has no unit: write 30s for seconds, or use ms, m or h
	// magne.yaml:6:31: pools.resize.watermarks.low: 12000 is above high (10000): a pool that has stopped at high goes on at low, so low must be smaller; set it to 9999 or less
	// magne.yaml:7:5: pools.resize.wrokers: unknown key: did you mean workers?
}

// What a reload of a changed file does.
func ExampleDiff() {
	parse := func(text string) *config.File {
		f, err := config.Parse(strings.NewReader(text), "magne.yaml", nil)
		if err != nil {
			panic(err)
		}
		return f
	}
	const tasks = "tasks: {hello: {builtin: echo}}"
	old := parse("version: 1\npools: {mail: {workers: 8, " + tasks + "}, audit: {" + tasks + "}}")
	next := parse("version: 1\npools: {mail: {workers: 16, " + tasks + "}, audit: {" + tasks + "}}")
	for _, c := range config.Diff(old, next) {
		fmt.Printf("%s %s: %s\n", c.Action, c.Pool, c.Text)
	}
	// Output:
	// scale mail: workers 8 -> 16, watermarks.high 8 -> 16, watermarks.low 4 -> 8
	// keep audit: unchanged
}
