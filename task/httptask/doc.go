// Package httptask runs tasks by calling an HTTP endpoint, so that a service in
// any language can be a worker:
//
//	tasks:
//	  notify: {http: {url: "http://127.0.0.1:8080/hooks/{task}", method: POST}}
//
// # The request
//
// The body is one JSON object with the keys task, id, args, kwargs, headers,
// attempt and queue; args is always an array, kwargs and headers are always
// objects. GET, HEAD and DELETE are sent without a body. The headers are
// X-Magne-Task, X-Magne-Id, X-Magne-Attempt, X-Magne-Queue, and Idempotency-Key
// with the message's id; the two with the id are absent when it has none. Bytes
// in them that a header cannot carry, and "%", are percent-encoded.
//
// In the URL, {task}, {id} and {queue} are replaced and escaped for the place
// where they stand, which can be the path or the query but not the host: a
// message cannot choose whom we talk to. A message whose value would change the
// path (empty, "." or "..") is discarded.
//
// # The answer
//
//	2xx                           done
//	429, 503                      task.Retry, after the time in Retry-After if any: no attempt is used up
//	3xx, other 4xx                task.Discard
//	other 5xx, timeout, no answer a failed attempt
//
// The kind of an error (task.ErrorKind) is http_503 for that status, and the name of
// a type of net/http without an answer.
//
// Redirects are not followed: a POST would arrive as a GET, and somewhere else
// than configured. The status alone decides; the body of the answer is read only
// so far that the connection can be used again, and quoted in part in the error
// of a task that did not succeed.
//
// # Guarantees
//
// A handler is safe for concurrent use, keeps at most Options.MaxConcurrent
// connections to the host, and reuses them. It returns soon after its context
// ends, with an error that wraps the context's cause. A request can reach the
// endpoint more than once, also within one attempt: net/http repeats it when a
// kept connection turns out to be dead and the message has an id. The id is in
// Idempotency-Key for that.
//
// Errors name the URL without user, password, query and fragment.
package httptask
