package embedded_test

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/magne-actors/magne-actors/broker/embedded"
)

// settledFor is how long ago an ack must have been sent to a broker that is
// killed for it to be durable: what is promised is store.AckDelay and an fsync
// after the broker has read it, and the machine may be busy.
const settledFor = 500 * time.Millisecond

// TestKill kills the broker's process again and again while a publisher and a
// consumer work: no confirmed message is lost, and none that was acked some time
// before comes again. MAGNE_KILLS and MAGNE_KILL_MESSAGES make it longer: 50 and
// 200000 is what is meant by the word of the documentation.
func TestKill(t *testing.T) {
	r := newKillRun(t, fromEnv(t, "MAGNE_KILL_MESSAGES", 20_000))
	kills := fromEnv(t, "MAGNE_KILLS", 5)
	for i := range kills {
		r.round(r.total * (i + 1) / (kills + 1))
	}
	r.drain()
	r.verify()
	t.Logf("%d messages, %d kills: %d came again after their ack, slowest recovery %v",
		r.total, kills, r.again.Load(), r.slowest)
}

func fromEnv(t *testing.T, name string, otherwise int) int {
	v := os.Getenv(name)
	if v == "" {
		return otherwise
	}
	n, err := strconv.Atoi(v)
	if err != nil || n < 1 {
		t.Fatalf("%s=%q: want a positive number", name, v)
	}
	return n
}

// killRun is what publisher and consumer know of each message, which is its
// number.
type killRun struct {
	t     *testing.T
	dir   string
	total int

	next      int // to publish; those before it are confirmed, or were on their way at a kill
	confirmed []atomic.Bool
	received  []atomic.Int32
	acked     []atomic.Int64 // unix nanoseconds of the last ack; 0: none

	killed  atomic.Int64 // when the last broker was killed
	done    atomic.Int64 // confirms so far
	again   atomic.Int64 // deliveries after an ack
	slowest time.Duration
}

func newKillRun(t *testing.T, total int) *killRun {
	return &killRun{
		t: t, dir: filepath.Join(t.TempDir(), "data"), total: total,
		confirmed: make([]atomic.Bool, total), received: make([]atomic.Int32, total), acked: make([]atomic.Int64, total),
	}
}

// round works with a new broker until `until` messages are confirmed, and kills it.
func (r *killRun) round(until int) {
	b := r.start()
	var wg sync.WaitGroup
	wg.Go(func() { r.consume(b.dial(r.t)) })
	conn := b.dial(r.t)
	reached := make(chan struct{})
	wg.Go(func() { r.publish(conn, until, reached) })
	<-reached
	r.killed.Store(time.Now().UnixNano())
	b.kill()
	wg.Wait()
}

// drain publishes the rest and consumes until nothing is left.
func (r *killRun) drain() {
	b := r.start()
	var wg sync.WaitGroup
	consumer, publisher := b.dial(r.t), b.dial(r.t)
	wg.Go(func() { r.consume(consumer) })
	reached := make(chan struct{})
	wg.Go(func() { r.publish(publisher, r.total, reached) })
	<-reached
	if err := r.untilEmpty(b.dial(r.t)); err != nil {
		r.t.Error(err)
	}
	b.stop()
	wg.Wait()
}

// untilEmpty waits until the queue has neither ready nor unacked messages: it can
// be deleted if-empty only then, and its consumer is gone.
func (r *killRun) untilEmpty(conn *amqp091.Connection) error {
	ch, err := conn.Channel()
	if err != nil {
		return err
	}
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(2 * time.Minute); time.Now().Before(deadline); <-tick.C {
		if r.missing() > 0 {
			continue
		}
		q, err := ch.QueueDeclarePassive("kill", true, false, false, false, nil)
		if err != nil {
			return err
		}
		if q.Messages == 0 {
			return nil
		}
	}
	return fmt.Errorf("%d confirmed messages are lost", r.missing())
}

func (r *killRun) missing() (n int) {
	for i := range r.total {
		if r.confirmed[i].Load() && r.received[i].Load() == 0 {
			n++
		}
	}
	return n
}

func (r *killRun) verify() {
	for i := range r.total {
		if r.confirmed[i].Load() && r.received[i].Load() == 0 {
			r.t.Fatalf("message %d was confirmed and never received; %d in all", i, r.missing())
		}
	}
}

// publish publishes until `until` messages are confirmed and says so, and goes on
// until the connection is lost or there is nothing left.
func (r *killRun) publish(conn *amqp091.Connection, until int, reached chan struct{}) {
	ch, err := conn.Channel()
	if err == nil {
		_, err = ch.QueueDeclare("kill", true, false, false, false, nil)
	}
	if err == nil {
		err = ch.Confirm(false)
	}
	if err != nil {
		r.t.Error(err)
		close(reached)
		return
	}
	const window = 500
	confirms := ch.NotifyPublish(make(chan amqp091.Confirmation, window))
	room, lost := make(chan struct{}, window), make(chan struct{})
	first, heard := r.next, 0
	go func() {
		defer close(lost)
		told := false
		for c := range confirms {
			r.confirmed[first+int(c.DeliveryTag)-1].Store(c.Ack)
			heard++
			if n := int(r.done.Add(1)); n >= until && !told {
				told = true
				close(reached)
			}
			<-room
		}
		if !told {
			r.t.Errorf("the connection was lost after %d of %d confirms", r.done.Load(), until)
			close(reached)
		}
	}()
	r.publishAll(ch, room, lost)
	<-lost
	// Those on their way at the kill may be there or not.
	r.done.Add(int64(r.next - first - heard))
}

func (r *killRun) publishAll(ch *amqp091.Channel, room chan<- struct{}, lost <-chan struct{}) {
	for r.next < r.total {
		select {
		case room <- struct{}{}:
		case <-lost:
			return
		}
		body := binary.BigEndian.AppendUint64(nil, uint64(r.next))
		p := amqp091.Publishing{DeliveryMode: amqp091.Persistent, Body: append(body, make([]byte, 92)...)}
		r.next++
		if err := ch.PublishWithContext(context.Background(), "", "kill", false, false, p); err != nil {
			return
		}
	}
}

// consume acks what comes until the connection is lost.
func (r *killRun) consume(conn *amqp091.Connection) {
	killed := time.Unix(0, r.killed.Load())
	ch, err := conn.Channel()
	if err == nil {
		_, err = ch.QueueDeclare("kill", true, false, false, false, nil)
	}
	if err == nil {
		err = ch.Qos(300, 0, false)
	}
	if err != nil {
		r.t.Error(err)
		return
	}
	deliveries, err := ch.Consume("kill", "", false, false, false, false, nil)
	if err != nil {
		r.t.Error(err)
		return
	}
	for d := range deliveries {
		i := binary.BigEndian.Uint64(d.Body)
		r.received[i].Add(1)
		if at := r.acked[i].Load(); at > 0 {
			r.again.Add(1)
			if before := killed.Sub(time.Unix(0, at)); before > settledFor {
				r.t.Errorf("message %d comes again: it was acked %v before the kill", i, before)
			}
		}
		if err := d.Ack(false); err != nil {
			return
		}
		r.acked[i].Store(time.Now().UnixNano())
	}
}

// killable is a broker in a process of its own.
type killable struct {
	cmd     *exec.Cmd
	in      io.Closer
	address string
}

// start starts one and notes how long it took to recover.
func (r *killRun) start() *killable {
	r.t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestKillChild$")
	cmd.Env = append(os.Environ(), "MAGNE_KILL_CHILD="+r.dir)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		r.t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		r.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		r.t.Fatal(err)
	}
	b := &killable{cmd: cmd, in: in}
	line, err := bufio.NewReader(out).ReadString('\n')
	var took time.Duration
	if err == nil {
		_, err = fmt.Sscan(strings.TrimSpace(line), &b.address, (*durationValue)(&took))
	}
	if err != nil {
		b.kill()
		r.t.Fatalf("the broker did not start: %v (it said %q)", err, line)
	}
	r.slowest = max(r.slowest, took)
	return b
}

type durationValue time.Duration

func (d *durationValue) Scan(s fmt.ScanState, _ rune) error {
	word, err := s.Token(true, nil)
	if err != nil {
		return err
	}
	v, err := time.ParseDuration(string(word))
	*d = durationValue(v)
	return err
}

func (b *killable) dial(t *testing.T) *amqp091.Connection {
	t.Helper()
	conn, err := amqp091.Dial("amqp://guest:guest@" + b.address + "/")
	if err != nil {
		b.kill()
		t.Fatal(err)
	}
	return conn
}

func (b *killable) kill() {
	_ = b.cmd.Process.Kill()
	_ = b.cmd.Wait() // it was killed: that is what it says
}

// stop lets it end by itself.
func (b *killable) stop() {
	_ = b.in.Close()
	_ = b.cmd.Wait()
}

// TestKillChild is the process that TestKill kills.
func TestKillChild(t *testing.T) {
	dir := os.Getenv("MAGNE_KILL_CHILD")
	if dir == "" {
		t.Skip("only as a child of TestKill")
	}
	begin := time.Now()
	b, err := embedded.Open(embedded.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	took := time.Since(begin)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = b.Serve(context.Background(), l) }() // ends with Close
	fmt.Println(l.Addr(), took)
	_, _ = io.Copy(io.Discard, os.Stdin)
	if err := b.Close(); err != nil {
		t.Error(err)
	}
}
