package config

import (
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/magne-actors/magne-actors/actors"
	"github.com/magne-actors/magne-actors/broker/amqp"
)

// check looks at values that are right by themselves and wrong together.
func (f *File) check() {
	f.need("version", "missing: begin the file with version: 1")
	if f.read.alone {
		f.Broker.URL, f.Broker.URLs, f.Broker.TLS = "", nil, TLS{}
		f.checkEmbedded()
		return
	}
	f.checkControl()
	f.checkBrokerURLs()
	f.checkManagement()
	if !f.read.given("broker.url") && !f.read.given("broker.urls") {
		f.checkEmbedded()
	}
	if f.Broker.Heartbeat%time.Second != 0 {
		f.read.complain("broker.heartbeat", "%v is not a number of whole seconds: AMQP knows no others", f.Broker.Heartbeat)
	}
	f.checkTLS()
	f.checkLink()
	f.checkSpool()
	f.checkBackoff("broker.reconnect", f.Broker.Reconnect)
	f.checkBackoff("supervision.defaults.backoff", f.Supervision.Defaults.Backoff)
	if len(f.Pools) == 0 && !f.read.bad["pools"] && !f.read.badBelow("pools") {
		f.read.complain("pools", "no pool: name at least one, for example pools: {mail: {tasks: {hello: {builtin: echo}}}}")
	}
	for i := range f.Pools {
		f.checkPool(&f.Pools[i])
	}
}

// need complains when a key has no value.
func (f *File) need(path, message string) {
	if !f.read.set(path) && !f.read.bad[path] {
		f.read.complain(path, "%s", message)
	}
}

func (f *File) checkBrokerURLs() {
	const one, many = "broker.url", "broker.urls"
	if f.read.set(one) {
		f.checkBrokerURL(one, "", f.Broker.URL)
	}
	if !f.read.set(many) {
		return
	}
	if len(f.Broker.URLs) == 0 {
		f.read.complain(many, "no address: write at least one, or remove the key for the embedded broker")
	}
	for i, u := range f.Broker.URLs {
		f.checkBrokerURL(many, fmt.Sprintf("element %d: ", i+1), u)
	}
}

// checkBrokerURL never quotes the URL nor what net/url says about it: that
// may contain the password.
func (f *File) checkBrokerURL(at, which string, text Secret) {
	u, err := url.Parse(text.Reveal())
	switch {
	case err != nil:
		f.read.complain(at, "%snot a URL: write amqp://user:password@host:5672/vhost and percent-encode special characters in it", which)
	case u.Scheme != "amqp" && u.Scheme != "amqps":
		f.read.complain(at, "%sthe scheme is neither amqp nor amqps: write amqp://user:password@host:5672/vhost", which)
	case u.Hostname() == "":
		f.read.complain(at, "%sno host: write amqp://user:password@host:5672/vhost", which)
	case !possiblePort(u.Port()):
		f.read.complain(at, "%sthe port is not between 1 and 65535: RabbitMQ listens on 5672, and on 5671 for amqps://", which)
	case strings.Count(u.EscapedPath(), "/") > 1:
		f.read.complain(at, "%sthe virtual host contains /: percent-encode it as %%2F", which)
	}
}

// possiblePort takes an absent port for the one that the scheme stands for.
func possiblePort(port string) bool {
	if port == "" {
		return true
	}
	n, err := strconv.ParseUint(port, 10, 16)
	return err == nil && n > 0
}

func (f *File) checkBackoff(path string, b Backoff) {
	low, high := path+".initial", path+".max"
	if f.read.usable(low, high) && b.Initial > b.Max {
		f.read.complain(f.read.later(low, high), "initial (%v) is above max (%v): raise max or lower initial", b.Initial, b.Max)
	}
}

func (f *File) checkPool(p *Pool) {
	at := poolPath(p.Name)
	switch p.Name {
	case "root", "broker", "pools", "control":
		f.read.complain(at, "the tree has a node of that name already: choose another")
	}
	f.checkModes(p)
	f.checkProcesses(p)
	f.checkSlots(p, at)
	f.checkWatermarks(p, at+".watermarks")
	f.checkRetry(p, at+".retry")
	f.checkQueue(p.Queue, at+".queue")
	for _, name := range sortedNames(p.Tasks) {
		f.checkTask(at+".tasks"+component(name), p.Tasks[name])
	}
}

// checkQueue: a name that AMQP cannot carry ends the connection of all pools, again
// and again.
func (f *File) checkQueue(name, at string) {
	longest := actors.MaxName - len(amqp.DeadQueue(""))
	switch {
	case !f.read.usable(at):
	case strings.HasPrefix(name, "amq."):
		f.read.complain(at, "RabbitMQ keeps names that begin with amq. for itself: choose another")
	case len(name) > longest:
		f.read.complain(at, "%d bytes, and at most %d are possible: the queue of its dead letters is called %s", len(name), longest, amqp.DeadQueue("QUEUE"))
	}
}

func (f *File) checkSlots(p *Pool, at string) {
	if !f.read.usable(at+".mode", at+".slots", at+".workers", at+".pipeline", at+".concurrency") || f.read.badBelow(at+".size") {
		return
	}
	switch {
	case p.Mode == "thread" && p.Slots != 1:
		f.read.complain(at+".slots", "%d slots with mode thread, where each worker runs one task at a time: remove slots and set workers to %d, or use mode coroutine",
			p.Slots, p.Workers*p.Slots)
	case p.Mode == "thread" && p.Workers > actors.MaxThreads:
		f.read.complain(at+".workers", "%d workers with mode thread: at most %d, since Go ends a program that has 10,000 threads; mode coroutine has no such limit",
			p.Workers, actors.MaxThreads)
	case p.Mode == modeProcess && p.Capacity() > maxConcurrent:
		f.read.complain(at+".pipeline", "%d processes that hold %d tasks are more than %d tasks at once: lower one of them", p.MaxWorkers(), p.Pipeline, maxConcurrent)
	case p.HasProcesses() && p.processes() > maxProcesses:
		f.read.complain(f.read.later(at+".workers", at+".slots"), "%d processes at once: at most %d", p.processes(), maxProcesses)
	case p.Capacity() > maxConcurrent:
		f.read.complain(f.read.later(at+".workers", at+".slots"), "%d workers with %d slots are more than %d tasks at once: lower one of them",
			p.Workers, p.Slots, maxConcurrent)
	}
}

func (f *File) checkWatermarks(p *Pool, at string) {
	w := &p.Watermarks
	if !f.read.set(at + ".low") {
		w.Low = min((w.High+1)/2, max(w.High-1, 0))
		return
	}
	of := poolPath(p.Name)
	computed := !f.read.set(at + ".high") // then it is right only if these are
	if computed && (!f.read.usable(of+".workers", of+".slots", of+".pipeline", of+".concurrency") || f.read.badBelow(of+".size")) {
		return
	}
	if !f.read.usable(at+".low", at+".high") || w.Low < w.High {
		return
	}
	relation, rule := "above", ""
	if w.Low == w.High {
		relation = "equal to"
	}
	if computed {
		rule = ", which is " + p.capacityName() + " by default"
	}
	remedy := fmt.Sprintf("set it to %d or less", w.High-1)
	if w.High == 1 {
		remedy = "remove it"
	}
	f.read.complain(at+".low", "%d is %s high (%d%s): a pool that has stopped at high goes on at low, so low must be smaller; %s",
		w.Low, relation, w.High, rule, remedy)
}

// capacityName is how Capacity is computed.
func (p *Pool) capacityName() string {
	switch {
	case p.Size != nil:
		return "size.max * pipeline"
	case p.Mode == modeProcess:
		return "workers * pipeline"
	default:
		return "workers * slots"
	}
}

// maxProcesses bounds those of a pool: each has some descriptors and a cgroup.
const maxProcesses = actors.MaxProcesses

// processes is how many OS processes the pool may have at once.
func (p *Pool) processes() int {
	if p.Mode == modeOneshot {
		return p.Capacity()
	}
	return p.MaxWorkers()
}

func (f *File) checkTask(at string, t Task) {
	builtin, http := f.read.given(at+".builtin"), f.read.given(at+".http")
	switch {
	case builtin && http:
		f.read.complain(at, "both builtin and http: remove one")
		return
	case !builtin && !http && !f.read.badBelow(at) && !f.read.bad[at]:
		f.read.complain(at, "no handler: write {builtin: echo} or {http: {url: \"http://...\"}}")
	}
	if !http || f.read.bad[at+".http"] || f.read.bad[at+".http.url"] {
		return
	}
	if t.HTTP == nil || t.HTTP.URL == "" {
		f.read.complain(at+".http.url", "missing: the address to send the task to, for example http://127.0.0.1:8080/hooks/{task}")
		return
	}
	f.checkHTTP(at+".http", t.HTTP)
}

// checkHTTP asks the handler's own package.
func (f *File) checkHTTP(at string, h *HTTP) {
	_, err := h.handler()
	for _, err := range flat(err) {
		msg := strings.TrimPrefix(err.Error(), "httptask: ")
		word, text, _ := strings.Cut(msg, ": ")
		switch name, _ := strconv.Unquote(strings.TrimPrefix(word, "header ")); {
		case word == "url" && f.read.hidden[at+".url"]:
			// The text may quote a piece of it, and nobody has written it in the file.
			f.read.complain(at+".url", "not the URL of an endpoint: it must be like http://host:port/path with {task}, {id} and {queue} where they are wanted")
		case word == "url":
			f.read.complain(at+".url", "%s; write it like http://host:port/path", text)
		case f.read.given(at + ".headers" + component(name)):
			f.read.complain(at+".headers"+component(name), "%s: remove or change it", text)
		default:
			f.read.complain(at+".headers", "%s: remove or change it", msg)
		}
	}
}

// flat takes joined errors apart.
func flat(err error) []error {
	if err == nil {
		return nil
	}
	joined, ok := errors.AsType[interface {
		error
		Unwrap() []error
	}](err)
	if !ok {
		return []error{err}
	}
	var all []error
	for _, e := range joined.Unwrap() {
		all = append(all, flat(e)...)
	}
	return all
}

// poolPath is where a pool stands, as path.String writes it.
func poolPath(name string) string { return "pools" + component(name) }

// component is a chosen name at the end of a path.
func component(name string) string {
	if plain(name) {
		return "." + name
	}
	return quoted(name)
}

// set reports whether the key has a value, from the file or the environment, that
// can be used.
func (r *reader) set(path string) bool { return r.given(path) && !r.bad[path] }

// given reports whether the key stands in the file or the environment.
func (r *reader) given(path string) bool { _, found := r.places[path]; return found }

// usable reports whether none of the values is known to be wrong, so that comparing them makes sense.
func (r *reader) usable(paths ...string) bool {
	for _, p := range paths {
		if r.bad[p] {
			return false
		}
	}
	return true
}

// badBelow reports whether something below the path is wrong.
func (r *reader) badBelow(path string) bool { return r.under[path] }

// later is that of two paths which stands further down, or is set at all: the one
// to point at when the two contradict each other.
func (r *reader) later(a, b string) string {
	pa, pb := r.places[a], r.places[b]
	if !r.given(b) || r.given(a) && (pa.line > pb.line || pa.line == pb.line && pa.column > pb.column) {
		return a
	}
	return b
}

// complain notes a mistake at a path; when the key has no place it is that of
// the section around it.
func (r *reader) complain(path, format string, args ...any) {
	r.spoil(path)
	r.errs = append(r.errs, r.at(path, format, args...))
}

// lack notes what keeps the file from being run, here and now, and from nothing else.
func (r *reader) lack(path, format string, args ...any) {
	r.lacks = append(r.lacks, r.at(path, format, args...))
}

// warn notes what is allowed and probably not meant.
func (r *reader) warn(path, format string, args ...any) {
	r.warns = append(r.warns, r.at(path, format, args...))
}

func (r *reader) at(path, format string, args ...any) *FieldError {
	around := path
	for !r.given(around) {
		around = parent(around)
	}
	p := r.places[around]
	return &FieldError{Source: p.source, Path: path, Line: p.line, Column: p.column, Message: fmt.Sprintf(format, args...)}
}
