package quarantine

// Ward knows which workers are kept for suspects. It belongs to one goroutine.
type Ward struct {
	most  int // workers that are kept while others wait
	round int // other tasks between two suspects on an only worker
	beds  []bed
	kept  int // beds that are not free
	owed  int // of the round
	acts  []Act
}

// bed is what a worker is to the ward.
type bed uint8

const (
	free  bed = iota // it gets other tasks
	empty            // it is kept, and ends what it has
	taken            // it runs a suspect
)

// Worker is one as of now.
type Worker struct {
	Up   bool
	Busy int // tasks that it has, or may still run
}

// View is all that a decision depends on, besides the Ward.
type View struct {
	Suspects, Others int // tasks that wait
	Workers          []Worker
}

// Verb is what an Act does.
type Verb uint8

const (
	Keep  Verb = iota + 1 // give the worker no more tasks
	Free                  // give it tasks again, if it is up
	Admit                 // give it the suspect that has waited longest, and nothing else
)

// Act is something for the owner of the Ward to do.
type Act struct {
	Do     Verb
	Worker int
}

// New returns a Ward that keeps at most that many workers while others wait, at
// least 1. A round is how many other tasks run between two suspects where there is
// only one worker, at least 1.
func New(most, round int) *Ward { return &Ward{most: max(most, 1), round: max(round, 1)} }

// Keeps reports whether the worker is not for other tasks.
func (w *Ward) Keeps(worker int) bool { return worker < len(w.beds) && w.beds[worker] != free }

// Idle reports whether no worker is kept: then, and without suspects that wait,
// there is nothing to decide.
func (w *Ward) Idle() bool { return w.kept == 0 }

// Left is called when the suspect of a worker has ended or was taken back.
func (w *Ward) Left(worker int) {
	w.beds[worker] = empty
	w.owed = w.round
}

// Assigned is called when another task is given to a worker.
func (w *Ward) Assigned() { w.owed = max(w.owed-1, 0) }

// Next decides what to do now. The acts are valid until the next call.
func (w *Ward) Next(v View) []Act {
	w.acts = w.acts[:0]
	for len(w.beds) < len(v.Workers) {
		w.beds = append(w.beds, free)
	}
	up, busy := 0, 0
	for i, o := range v.Workers {
		if o.Up {
			up++
		}
		if w.beds[i] == taken {
			busy++
		}
	}
	limit := w.limit(up, v.Others)
	all := limit
	if v.Others == 0 {
		all = max(limit, up-1)
	}
	n := w.admit(v, min(v.Suspects, max(all-busy, 0)))
	w.keep(v, min(v.Suspects-n, max(limit-busy-n, 0)))
	return w.acts
}

// limit is how many workers may be kept if up of them are up.
func (w *Ward) limit(up, others int) int {
	if up <= 1 && others > 0 && w.owed > 0 {
		return 0
	}
	return min(w.most, max(up-1, 1))
}

// admit gives up to n suspects to workers that run nothing, those first that are
// kept, and returns to how many.
func (w *Ward) admit(v View, n int) int {
	admitted := 0
	for _, of := range []bed{empty, free} {
		for i, o := range v.Workers {
			if admitted < n && o.Up && o.Busy == 0 && w.beds[i] == of {
				w.do(Admit, i, taken)
				admitted++
			}
		}
	}
	return admitted
}

// keep has n workers kept until they run nothing, those first that are kept, then
// those with the fewest tasks, and frees the others.
func (w *Ward) keep(v View, n int) {
	for i, o := range v.Workers {
		switch {
		case w.beds[i] != empty:
		case n > 0 && o.Up:
			n--
		default:
			w.do(Free, i, free)
		}
	}
	for ; n > 0; n-- {
		best := -1
		for i, o := range v.Workers {
			if o.Up && w.beds[i] == free && (best < 0 || o.Busy < v.Workers[best].Busy) {
				best = i
			}
		}
		if best < 0 {
			return
		}
		w.do(Keep, best, empty)
	}
}

func (w *Ward) do(verb Verb, worker int, to bed) {
	if w.beds[worker] == free {
		w.kept++
	}
	if to == free {
		w.kept--
	}
	w.beds[worker] = to
	w.acts = append(w.acts, Act{verb, worker})
}

// String is the word for it.
func (v Verb) String() string { return [...]string{"nothing", "keep", "free", "admit"}[v] }
