package management_test

import (
	"context"
	"fmt"

	"github.com/magne-actors/magne-actors/internal/management"
)

func Example() {
	c, err := management.New("http://guest:guest@127.0.0.1:15672/")
	if err != nil {
		fmt.Println(err)
		return
	}
	queues, err := c.Queues(context.Background(), "/")
	if err != nil {
		fmt.Println(err) // RabbitMQ without `rabbitmq-plugins enable rabbitmq_management`
		return
	}
	for _, q := range queues {
		if q.Unacked != nil {
			fmt.Println(q.Name, *q.Unacked)
		}
	}
}
