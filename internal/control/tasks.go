package control

import "time"

// Task is a task that runs: one element of the answer to GET /v1/tasks.
type Task struct {
	ID      string    `json:"id"` // of the message, or "mail#17" when it has none
	Name    string    `json:"task"`
	Pool    string    `json:"pool"`
	Worker  string    `json:"worker"` // the id of its node
	Attempt int       `json:"attempt"`
	Since   time.Time `json:"since"`
	// Abandoned says that it has outlived its timeout and is not waited for.
	Abandoned bool `json:"abandoned"`
	// Lost is how many worker processes have died under it: above 0 it is a suspect.
	// Alone says that its worker therefore runs nothing else.
	Lost  int  `json:"lost"`
	Alone bool `json:"alone"`
}
