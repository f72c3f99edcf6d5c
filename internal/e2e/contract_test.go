package e2e_test

import (
	"os"
	"strings"
	"testing"
)

// clause is a part of the contract: held by tests, or not there yet.
type clause struct {
	text  string               // as testdata/contract.md has it
	tests []func(t *testing.T) // that hold it
	issue int                  // that brings it
}

func by(tests ...func(t *testing.T)) []func(t *testing.T) { return tests }

// clauses are the whole contract but its YAML, which TestContractYAML reads.
func clauses() []clause {
	return []clause{
		{text: "`magne`: `{\"func\": \"name\", \"args\": [...]}`", tests: by(TestPika, TestContractBodies)},
		{text: "`json`: `{\"task\": \"name\", \"id\": \"...\", \"args\": [...], \"kwargs\": {...}, \"headers\": {...}}`, all but task optional", tests: by(TestContractBodies)},

		{text: "`run -c FILE", tests: by(TestContractCommands)},
		{text: "[--burst]`", issue: 4},
		{text: "`check -c FILE` (exit 2 on errors)", tests: by(TestContractCommands, TestContractYAML)},
		{text: "`init`", tests: by(TestContractCommands)},
		{text: "`schema`", tests: by(TestContractCommands)},
		{text: "`publish [-c FILE | --url URL] [--queue Q] [-n N] TASK [ARG...]` (each ARG is JSON, a bare word is a string", tests: by(TestContractCommands, TestPublishMany)},
		{text: "exit non-zero when a message is unroutable or unconfirmed)", tests: by(TestPublishUnroutable, TestPublishRefused)},
		{text: "`tree` ", tests: by(TestContractCommands)},
		{text: "`ps` ", tests: by(TestContractCommands, TestLookWhileBlocked)},
		{text: "`top` ", tests: by(TestContractCommands, TestTop)},
		{text: "`status` `why` ", tests: by(TestContractCommands, TestLookWhileBlocked)},
		{text: "`inspect` ", tests: by(TestContractCommands, TestLookWhileBlocked)},
		{text: "`events` ", tests: by(TestContractCommands, TestLookWhileBlocked)},
		{text: "(with `--socket PATH`, default as in run)", tests: by(TestContractCommands, TestContractSocket)},
		{text: "`queue list`", tests: by(TestContractCommands, TestQueueList)},
		{text: "`dlq list`", tests: by(TestContractCommands, TestDlqList)},
		{text: "`broker --listen ADDR --dir DIR`", tests: by(TestContractCommands, TestBrokerAlone)},
		{text: "`version`", tests: by(TestContractCommands)},
		{text: "`completion`", tests: by(TestContractCommands)},

		{text: "`tree`: one node, `{\"id\",\"kind\",\"state\",\"children\":[...]}` and where they apply `\"queued\",\"running\",\"in_flight\",\"high\",\"low\",\"paused\",\"pauses\",\"settled\",\"restarts\",\"since\",\"last_error\",\"pid\"`", tests: by(TestContractTree)},
		{text: "kind is one of root, sup, broker, router, pool, worker, slot, control", tests: by(TestContractTree)},
		{text: "A router's id starts with `router:`, its `settled` counts every delivery it has settled since it started", tests: by(TestContractTree, TestMalformed)},
		{text: "`queue list`: a list of `{\"name\",\"ready\",\"unacked\",\"consumers\"}`", tests: by(TestQueueList)},
		{text: "unacked is null where the broker cannot tell over AMQP", tests: by(TestQueueList)},
		{text: "`go run ./bench SCENARIO -o json`: one JSON object a line: `\"system\"` (magne-actors, raw, or a peer), `\"scenario\",\"n\",\"seconds\",\"msgs_per_s\",\"client_cpu_us_per_msg\",\"peak_rss_mib\",\"peak_in_flight\",\"ratio_to_raw\"`", tests: by(TestContractBench)},

		{text: "0 ok", tests: by(TestTermWhileTasksRun)},
		{text: "1 error", tests: by(TestSocket, TestPublishUnroutable)},
		{text: "2 usage or configuration", tests: by(TestContractCommands, TestContractYAML)},
		{text: "3 unreachable", tests: by(TestDenied, TestPublishUnreachable)},
		{text: "70 the root supervisor gave up", tests: by(TestGaveUp)},
		{text: "75 temporary, try again", tests: by(TestPublishRefused)},
		{text: "`tree` and `status`: 0 healthy, 1 degraded, 2 failed, 3 unreachable", tests: by(TestBrokerDies, TestOtherArguments, TestSocket, TestLookWhileBlocked, TestWatch)},

		{text: "TERM, INT: warm (no new deliveries, running tasks finish within `shutdown`, acks flushed, exit 0)", tests: by(TestTermWhileTasksRun, TestShutdownTime, TestHup)},
		{text: "a second one: cold (cancel, requeue, exit 1)", tests: by(TestSecondSignal)},
		{text: "QUIT: cold at once with a goroutine and tree dump", tests: by(TestQuit)},
		{text: "HUP: reload", tests: by(TestReload, TestHup)},
	}
}

// contract returns the text of the contract, and its YAML.
func contract(t *testing.T) (text, yaml string) {
	t.Helper()
	b, err := os.ReadFile("testdata/contract.md")
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(b), "```yaml\n")
	yaml, after, ok2 := strings.Cut(rest, "```\n")
	if !ok || !ok2 {
		t.Fatal("the contract has no YAML")
	}
	return before + after, yaml
}

// TestContract: every word of the contract is in a clause, every clause in the
// contract, and each is held by a test or named with its issue.
func TestContract(t *testing.T) {
	text, _ := contract(t)
	for _, c := range clauses() {
		if !strings.Contains(text, c.text) {
			t.Errorf("not in the contract, or in two clauses: %s", c.text)
		}
		text = strings.Replace(text, c.text, "", 1)
		if (len(c.tests) > 0) == (c.issue > 0) {
			t.Errorf("neither tests nor an issue, or both: %s", c.text)
		}
		if c.issue > 0 {
			t.Logf("not in this version: %s (issue %d)", c.text, c.issue)
		}
	}
	for line := range strings.Lines(text) {
		switch {
		case strings.HasPrefix(line, "#"), strings.HasPrefix(line, "Names below are fixed"), strings.HasPrefix(line, "The supervision keys"):
			continue
		}
		if strings.ContainsFunc(line, isWord) {
			t.Errorf("in no clause: %s", line)
		}
	}
}

func isWord(r rune) bool { return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' }
