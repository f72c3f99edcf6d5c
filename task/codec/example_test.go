package codec_test

import (
	"fmt"

	"github.com/magne-actors/magne-actors/task"
	"github.com/magne-actors/magne-actors/task/codec"
)

func Example() {
	c, err := codec.ByName("magne")
	if err != nil {
		fmt.Println(err)
		return
	}
	m, err := c.Decode(&task.Raw{Body: []byte(`{"func": "magne_latency_bench", "args": []}`)})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(m.Name, string(m.Args), codec.MagneQueueName(m.Name))

	_, err = c.Decode(&task.Raw{Body: []byte(`{"func": "magne_latency_bench", "args": 1}`)})
	fmt.Println(err)
	// Output:
	// magne_latency_bench [] MAGNE_LATENCY_BENCH
	// magne: args: want an array, got a number
}

func ExampleJSON_Encode() {
	r, err := codec.JSON{}.Encode(&task.Message{Name: "resize", ID: "7", Args: []byte(`["a.png", 640]`)})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(r.ContentType, string(r.Body))
	// Output: application/json {"task":"resize","id":"7","args":["a.png", 640]}
}
