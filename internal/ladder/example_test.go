package ladder_test

import (
	"fmt"
	"time"

	"github.com/magne-actors/magne-actors/internal/ladder"
)

func Example() {
	exchange, key := ladder.Route(52500*time.Millisecond, "orders")
	fmt.Println(exchange, key)

	delay, queue, _ := ladder.Parse(key)
	fmt.Println(delay, queue)

	exchange, key = ladder.RouteRetry(52500*time.Millisecond, "orders")
	fmt.Println(exchange, key, ladder.RetryDelay(52500*time.Millisecond))
	// Output:
	// magne.v1.delay.2 0.0.0.0.1.a.4.orders
	// 52.5s orders
	// magne.v1.delay.2 0.0.0.0.2.0.0.orders 1m4s
}
