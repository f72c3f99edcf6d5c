package copies

import (
	"time"

	"github.com/magne-actors/magne-actors/internal/osproc"
)

var LastWords = lastWords

// Decide is decide in words.
func Decide(code int, ever, tooOften bool) string {
	return map[decision]string{restart: "restart", pause: "pause", giveUp: "give up"}[decide(code, ever, tooOften)]
}

func CountGaveUp(before int, e osproc.Exit, long time.Duration) int {
	return countGaveUp(before, e, long)
}

// Unite is unite of errors by the number of the copy.
func Unite(errs ...error) error {
	var answers []answer[struct{}]
	for i, err := range errs {
		answers = append(answers, answer[struct{}]{number: i + 1, err: err})
	}
	return unite(answers)
}
