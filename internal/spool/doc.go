// Package spool keeps messages on the disk that a broker does not take for the
// time being, and publishes them when it does again: the copies of failed tasks
// while the broker blocks publishers, and what `magne-actors publish --spool`
// was given while there was no broker at all.
//
// # What it guarantees
//
// A message that [Spool.Put] has reported as accepted was written and fsynced. It
// is published until the broker has confirmed it, by this process or by another
// one that opens the same directory after this one is gone, kill -9 or not.
//
// At least once: one whose confirm is unknown is published again, with the same
// message id and headers, and so is one that was confirmed just before a crash.
// Consumers tell such copies from others by message id and attempt.
//
// What is written is bounded by Options.MaxBytes for all processes together; a
// message that does not fit, or that a full disk does not take, is refused, and
// nothing before it is lost.
//
// # Two steps
//
// The copy of a delivery must be durable before the delivery is acked, and must
// not be published when the ack fails: then the broker delivers the original again,
// which makes a copy of its own. So an accepted message is held back until its
// owner says what became of the delivery: release(true) lets it go, release(false)
// withdraws it. A process that dies between the two leaves it to be published.
// What an owner has withdrawn is not published again, unless the machine stops
// within the moments until that, too, is on the disk.
//
// # Files
//
// The directory holds segments named TIME-PID.seg, to which records are appended,
// each with a checksum: a message, or the place of one that is done. A segment
// is removed when all of its messages are. Each has one owner, who has locked it
// (flock): so several processes share a directory, and whoever finds a segment
// without an owner takes it over. A record that was cut short at the end of a
// segment was never accepted, and is dropped. Other damage costs the records that
// it has hit; the segment is kept as TIME-PID.damaged for people to look at. A file
// that is none of a spool's, by name and content, is named in the log and left alone.
package spool
