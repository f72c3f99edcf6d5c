// Package store keeps the messages and the topology of the embedded broker in a
// directory: an append-only log of segments for messages, acknowledgements and
// delivery counts, and a small journal for everything else.
//
//	s, err := store.Open(store.Options{Dir: dir}, index) // locks, replays into index
//	loc, err := s.Append(&rec, refs, waiter)             // waiter.Stored(nil): on disk
//	s.Ack(ref, loc)                                      // gone, within the next commit
//	err = s.Close()
//
// The store holds nothing per message. What is in which queue, and where its
// bytes are, is known to the Index, which Open fills and compaction asks.
//
// # What is durable when
//
//   - One goroutine, the committer, writes what has been buffered as one group
//     and calls fsync once for it; what arrives meanwhile is the next group.
//     Stored(nil) is called after that fsync: the record survives the loss of
//     the process and of power. The same holds for PutMeta and DeleteMeta.
//   - With Options.Interval above 0, Stored(nil) is called after the write and
//     before the fsync, which follows within Interval. The record survives the
//     loss of the process, not of power: up to Interval of confirmed records is
//     then lost, always the newest.
//   - An acknowledgement and a delivery count wait for the next group, at most
//     AckDelay when nothing else is written. Those not yet written when the
//     process dies are as if never made, so the message is delivered again; those
//     on disk are never undone.
//   - Stored(err) means that the store does not promise the record. After ErrFull
//     it is not in the log. After another error it may be there at the next Open.
//
// # Order and concurrency
//
// All methods of Store may be called concurrently, also with a lock of the index
// held: none of them waits for the disk or for a callback, except Read (one
// read), Sync and Close. Waiters, Index.Live, Index.Moved and Options.OnChange are
// called by the committer, one at a time and without a lock of the store; they
// must not wait for the disk, that is not for a Waiter, nor call Sync or Close.
// Waiters are called in the order of Append.
//
// The log has the order of the calls of Append. The acknowledgements and delivery
// counts of a group stand behind its messages, so an Ack always follows its Append.
//
// # Recovery
//
// Open reads the journal, then every segment in order. A record that is not whole
// in the newest segment, or in the journal, is the end of an interrupted write if
// nothing says that it was once on disk: it is cut off with all that follows it,
// and a warning says where and how much. Each group begins with a mark that says
// how much of the file was on disk when the group was written. If such a mark
// follows, or a newer segment, or a clean Close, then the record was once whole:
// Open changes nothing and returns a *CorruptError with file and offset. Fsck
// reports all such places, Repair gives up what is in them.
//
// # Space
//
// A segment is deleted when nothing in it is live and no older one is left. If
// more than half of the bytes in full segments are dead, what is live in the
// oldest one is copied to the end of the log, under the same Refs. So the log
// takes at most about twice the room of the live messages, and two segments.
//
// When the disk is full, the store gives up a reserve that it allocated before:
// the group at hand and later acknowledgements are written there. Append and
// PutMeta return ErrFull, Options.OnChange is called, and the committer tries to
// allocate the reserve again, each ProbeInterval and whenever a segment was
// deleted. Once it succeeds, the store takes messages again.
//
// The format of the files is in docs/embedded-store.md.
package store
