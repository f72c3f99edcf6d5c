package top

import (
	"strings"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"

	"github.com/magne-actors/magne-actors/supervisor"
)

// two is a screen of a root with two nodes below it.
func two(t *testing.T) *screen {
	t.Helper()
	s := newScreen(t, false, 80, 24)
	s.cur.Root = &supervisor.Node{ID: "root", Kind: "root", State: "up", Children: []*supervisor.Node{
		{ID: "a", State: "up"}, {ID: "b", State: "up"},
	}}
	s.send(tick{})
	return s
}

// update gives the Model a message and returns the command that it causes, which
// has not run yet.
func (s *screen) update(msg tea.Msg) tea.Cmd {
	_, cmd := s.Update(msg)
	return cmd
}

// TestOneQuestion: while the instance is asked nothing else is, and what waited
// comes next.
func TestOneQuestion(t *testing.T) {
	s := two(t)
	fetch := s.update(tick{})
	if fetch == nil {
		t.Fatal("a tick asks nothing")
	}
	for _, msg := range []tea.Msg{tick{}, changed{what: "restart a"}, tea.KeyPressMsg{Code: tea.KeyEnter}} {
		if s.update(msg) != nil {
			t.Errorf("%T: asks while the instance is asked", msg)
		}
	}
	next := s.update(fetch())
	if next == nil {
		t.Fatal("the fetch that waited does not come")
	}
	if _, ok := next().(fetched); !ok {
		t.Errorf("after a fetch that was due comes %T, want fetched", next())
	}
}

// TestDetailsOfAnother: details that come when the cursor has moved on are not
// those of the node that it is on.
func TestDetailsOfAnother(t *testing.T) {
	s := two(t)
	describe := s.update(tea.KeyPressMsg{Code: tea.KeyEnter})
	s.update(tea.KeyPressMsg{Code: tea.KeyDown})
	again := s.update(describe())
	if text := strings.Join(s.lines(), "\n"); !strings.Contains(text, "-- a ---") || strings.Contains(text, "root is up") {
		t.Errorf("the details of root below the name of a:\n%s", text)
	}
	if again == nil {
		t.Fatal("the details of a are not asked for")
	}
	s.update(again())
	if text := strings.Join(s.lines(), "\n"); !strings.Contains(text, "a is up") {
		t.Errorf("no details of a:\n%s", text)
	}
}

// TestOneChange: a change waits for the one before it.
func TestOneChange(t *testing.T) {
	s := two(t)
	s.pressed("r")
	first := s.update(tea.KeyPressMsg{Code: 'y', Text: "y"})
	s.pressed("down", "r")
	if cmd := s.update(tea.KeyPressMsg{Code: 'y', Text: "y"}); cmd != nil || !strings.Contains(s.note, "not done") {
		t.Errorf("a second change at once: %q", s.note)
	}
	s.update(first())
	if len(s.did) != 1 || s.note != "restart root: done" {
		t.Errorf("did %q, says %q", s.did, s.note)
	}
}

// TestSums: a node that has a figure of its own does not get the sum of those
// below it; what is above it adds its own.
func TestSums(t *testing.T) {
	look := func(n int64) *supervisor.Node {
		router := func(id string, by int64) *supervisor.Node {
			return &supervisor.Node{ID: id, Kind: "router", Settled: new(n * by), InFlight: new(int64(2))}
		}
		return &supervisor.Node{ID: "root", Kind: "root", Children: []*supervisor.Node{
			{ID: "pool", Kind: "pool", Settled: new(n * 7), InFlight: new(int64(9)), Children: []*supervisor.Node{router("router:a", 1)}},
			{ID: "sup", Kind: "sup", Children: []*supervisor.Node{router("router:b", 2), router("router:c", 3)}},
			{ID: "slot", Kind: "slot", RSS: 1000, CPU: 50, Running: new(int64(1)), TasksDone: new(n), TasksFailed: new(n)},
		}}
	}
	began := time.Unix(0, 0)
	s := Measure(Snapshot{Time: began, Root: look(0)}, Snapshot{Time: began.Add(2 * time.Second), Root: look(10)})
	want := map[string]float64{"root": 60, "pool": 35, "router:a": 5, "sup": 25, "router:b": 10, "router:c": 15, "slot": 10}
	for i := range s.Nodes {
		l := &s.Nodes[i]
		if got := l.ended(); got == nil || *got != want[l.ID] {
			t.Errorf("%s: got %v, want %v a second", l.ID, rate(got), want[l.ID])
		}
	}
	if s.Settled != 60 || s.InFlight != 6 || s.Running != 1 || s.RSS != 1000 || s.CPU != 50 || *s.SettledRate != 60 {
		t.Errorf("sums: %+v", s)
	}
}
