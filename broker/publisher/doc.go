// Package publisher publishes to a broker that comes and goes, from Go programs.
//
//	p, err := publisher.New(publisher.Options{Dialer: amqp.Dialer{URL: url, OneConnection: true}})
//	...
//	defer p.Close(ctx)
//	err = p.Send(ctx, "orders", &task.Message{Name: "ship", Args: args})
//
// [Publisher.Publish] waits for the broker's answer, [Publisher.Async] only for room in
// the window of unanswered publications, which is what makes it fast. A task is made and
// sent by [Publisher.Send], at once or after a delay ([In], [At]).
//
// # Guarantees
//
// Each publication is answered once: it was accepted, or an [*Error] says why not. Every
// message is mandatory and confirmed. Accepted means that the broker has confirmed it
// and not returned it: at least one queue has it; or, with Options.SpoolDir, that it is
// fsynced. An error that wraps [broker.ErrUnknown] says that the message may have
// arrived, and any other one that it has not.
//
// A session that is lost is replaced, after 100 ms at first, at last after 30 s. What was
// unanswered is published again, with the same message-id; a publication without one
// gets a UUID. So a message may arrive twice, and consumers drop it by its id. The same
// with a message that the broker has refused (a full queue): after the same waits, until
// its context ends. One that reaches no queue, or cannot be sent, is answered at once.
//
// Messages to one exchange arrive in the order in which Async has returned, those that
// are published again in their place. It is not kept for what was refused, by messages
// that pass while the session lives and its connection for publishing is opened again,
// by what goes through the spool, and from the fourth loss of a connection under one
// message on: from then on that is published alone, so that a message that makes the
// broker close connections holds up no others.
//
// At most Options.Window publications are unanswered. Publish and Async wait for room, and
// that is the back pressure, as long as their context allows. While the broker blocks
// publishers (an alarm about memory or disk) they wait, too, or fail at once with
// [ErrBlocked] if Options.FailBlocked is set.
//
// # The spool
//
// With Options.SpoolDir, what the broker does not take is written to that directory,
// fsynced, and accepted as [Spooled]: while there is no session, or the broker blocks
// publishers, for longer than Options.SpoolAfter; what it has refused twice; and what is
// unanswered when the time for Close is over. It is published while there is a session,
// by this Publisher, the next one of the directory, or `magne-actors run` and
// `magne-actors spool flush`. What is delayed does not go there: its delay would begin
// when the broker is back. What does not fit waits for the broker. See
// docs/publishing.md.
//
// # Inside
//
// One goroutine owns all publications and the session. What it decides is a pure
// function of what has happened and when (book.go, link.go). It never blocks: a second
// goroutine hands the publications to the session, which blocks when its window is full
// or the broker has stopped reading, and is interrupted when the context of a publication
// ends. No code of the caller runs on either. Panics of a dialer or session cost the
// session.
package publisher
