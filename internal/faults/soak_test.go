package faults

import (
	"os"
	"path/filepath"
	"reflect"
	"testing"
)

// TestSoakGoesOn: the books of a run are added to those of the runs before it.
func TestSoakGoesOn(t *testing.T) {
	path := filepath.Join(t.TempDir(), "soak.json")
	s, err := readSoak(path)
	if err != nil || s.Laps != 0 {
		t.Fatalf("a state that is not there: got %+v, %v, want none", s, err)
	}
	s.Seeds = append(s.Seeds, 7)
	s.add(Tally{Published: 10, Confirmed: 9, Executed: 8, Dead: 1, Duplicates: 2}, Wire{Delivered: 11, Settled: 9}, map[string]int{"reset": 2}, map[string]float64{"reset": 0.5})
	if err := s.write(path); err != nil {
		t.Fatal(err)
	}
	again, err := readSoak(path)
	if err != nil || !reflect.DeepEqual(again, s) {
		t.Fatalf("read %+v, %v, want %+v", again, err, s)
	}
	again.add(Tally{Published: 1, Confirmed: 1, Lost: 1}, Wire{Delivered: 1}, map[string]int{"reset": 1, "refused": 1}, map[string]float64{"reset": 0.2, "refused": 1})
	if again.Laps != 2 || again.Published != 11 || again.Wire.Delivered != 12 || again.Happened() != 4 || again.Slowest["reset"] != 0.5 || again.Pass() {
		t.Errorf("got %+v, pass %v; want the sum of both, and no pass: one is lost", again, again.Pass())
	}
	if err := os.WriteFile(path, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := readSoak(path); err == nil {
		t.Error("a state that is broken: got no error")
	}
}

// TestHarmless: nothing that a soak does removes messages.
func TestHarmless(t *testing.T) {
	list := harmless()
	for _, f := range list {
		if f.removes {
			t.Errorf("%s removes messages", f.Name)
		}
	}
	if len(list) < 15 {
		t.Errorf("a soak has %d faults to choose from, want 15 at least", len(list))
	}
}
