package httptask_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"

	"github.com/magne-actors/magne-actors/task"
	"github.com/magne-actors/magne-actors/task/httptask"
)

func Example() {
	endpoint := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		fmt.Println(r.Method, r.URL.Path, string(body))
		w.Header().Set("Retry-After", "30")
		w.WriteHeader(http.StatusTooManyRequests)
	}))
	defer endpoint.Close()

	h, err := httptask.New(httptask.Options{URL: endpoint.URL + "/hooks/{task}", MaxConcurrent: 8})
	if err != nil {
		fmt.Println(err)
		return
	}
	err = h.Handle(context.Background(), &task.Message{Name: "notify", ID: "7", Queue: "mail", Attempt: 1, Args: []byte(`["hi"]`)})
	o := task.OutcomeOf(err)
	fmt.Println(o.Kind, o.After)
	// Output:
	// POST /hooks/notify {"task":"notify","id":"7","args":["hi"],"kwargs":{},"headers":{},"attempt":1,"queue":"mail"}
	// retry 30s
}
