package wire_test

import (
	"fmt"
	"os"
	"strings"

	"github.com/magne-actors/magne-actors/internal/wire"
)

// A supervisor hears a worker out.
func Example() {
	worker := strings.NewReader(`{"t":"hello","proto":1,"tasks":["resize"],"pid":4242}
{"t":"ok","id":1,"len":7}
640x480{"t":"ok","id":1}
`)
	r := wire.NewReader(worker, wire.Limits{})
	var s wire.Session
	s.Issue()
	for {
		f, err := r.Next()
		if err != nil {
			fmt.Println(err)
			return
		}
		m, err := s.Receive(&f)
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Printf("%s: %v %q\n", f.Type, m, f.Body)
	}
	// Output:
	// hello: ready ""
	// ok: settled "640x480"
	// wire: protocol violation: ok is a second reply to task 1
}

func ExampleWriter() {
	w := wire.NewWriter(os.Stdout, wire.Limits{})
	if err := w.Write(&wire.Frame{
		Type: wire.Task, ID: 1, Name: "resize", Attempt: 1, ContentType: "application/json",
		Body: wire.AppendArgs(nil, []byte(`["a.png",640]`), nil),
	}); err != nil {
		fmt.Println(err)
	}
	// Output:
	// {"t":"task","id":1,"name":"resize","attempt":1,"ct":"application/json","len":22}
	// {"args":["a.png",640]}
}
