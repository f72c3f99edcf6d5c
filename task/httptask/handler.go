package httptask

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/magne-actors/magne-actors/task"
)

const (
	excerptSize = 256                  // bytes of an answer that an error quotes
	drainSize   = 64 << 10             // bytes read so that the connection can be used again
	drainTime   = time.Second          // and the time for it
	maxAfter    = 365 * 24 * time.Hour // of a Retry-After; the pool's own bound is far below
)

type handler struct {
	template  *template
	method    string
	header    http.Header
	timeout   time.Duration
	transport http.RoundTripper // not a Client, which follows redirects and quotes URLs in errors
}

// Handle implements task.Handler.
func (h *handler) Handle(ctx context.Context, m *task.Message) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	req, err := h.request(ctx, m)
	if err != nil {
		return task.Discard(err)
	}
	stop := func() bool { return true }
	if h.timeout > 0 {
		stop = time.AfterFunc(h.timeout, func() { cancel(fmt.Errorf("no answer within %v", h.timeout)) }).Stop
	}
	resp, err := h.transport.RoundTrip(req) //nolint:bodyclose // drain closes it
	stop()
	if err != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return fmt.Errorf("httptask: %s %s: %w", h.method, redact(req.URL), err)
	}
	return verdict(h.method, req.URL, resp, drain(resp.Body, cancel), time.Now())
}

// body is what the endpoint gets. Args, Kwargs and Headers are never null, so
// that it need not ask.
type body struct {
	Task    string            `json:"task"`
	ID      string            `json:"id"`
	Args    json.RawMessage   `json:"args"`
	Kwargs  json.RawMessage   `json:"kwargs"`
	Headers map[string]string `json:"headers"`
	Attempt int               `json:"attempt"`
	Queue   string            `json:"queue"`
}

func (h *handler) request(ctx context.Context, m *task.Message) (*http.Request, error) {
	u, err := h.template.expand(m)
	if err != nil {
		return nil, err
	}
	var content []byte
	if hasBody(h.method) {
		if content, err = encode(m); err != nil {
			return nil, err
		}
	}
	// The URL is set afterwards: NewRequest would only parse it again.
	req, err := http.NewRequestWithContext(ctx, h.method, "", bytes.NewReader(content))
	if err != nil {
		return nil, fmt.Errorf("httptask: make a request: %w", err)
	}
	req.URL, req.Host = u, u.Host
	req.Header = h.header.Clone()
	if host := req.Header.Get("Host"); host != "" {
		req.Host = host
		req.Header.Del("Host")
	}
	if hasBody(h.method) {
		req.Header.Set("Content-Type", "application/json")
	}
	req.Header.Set("X-Magne-Task", headerValue(m.Name))
	req.Header.Set("X-Magne-Attempt", strconv.Itoa(m.Attempt))
	req.Header.Set("X-Magne-Queue", headerValue(m.Queue))
	if m.ID != "" {
		req.Header.Set("X-Magne-Id", headerValue(m.ID))
		req.Header.Set("Idempotency-Key", headerValue(m.ID))
	}
	return req, nil
}

func encode(m *task.Message) ([]byte, error) {
	b := body{m.Name, m.ID, m.Args, m.Kwargs, m.Headers, m.Attempt, m.Queue}
	if len(b.Args) == 0 {
		b.Args = json.RawMessage("[]")
	}
	if len(b.Kwargs) == 0 {
		b.Kwargs = json.RawMessage("{}")
	}
	if b.Headers == nil {
		b.Headers = map[string]string{}
	}
	content, err := json.Marshal(b)
	if err != nil {
		return nil, fmt.Errorf("httptask: encode task %q: %w", clip(m.Name, 64), err)
	}
	return content, nil
}

// headerValue percent-encodes what may not stand in a header: a message's id
// must not be able to add a header, nor make the request fail for ever.
func headerValue(s string) string {
	var b strings.Builder
	for i := range len(s) {
		if c := s[i]; c > ' ' && c < 0x7f && c != '%' {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

// drain reads the answer's body as far as it is worth for keeping the
// connection, closes it, and returns its beginning. A body that trickles is cut
// off by ending the request's context.
func drain(r io.ReadCloser, cancel context.CancelCauseFunc) []byte {
	timer := time.AfterFunc(drainTime, func() { cancel(errors.New("the body of the answer takes too long")) })
	defer timer.Stop()
	defer r.Close()
	// Errors do not matter: the status has been read, and it decides.
	excerpt, _ := io.ReadAll(io.LimitReader(r, excerptSize))
	_, _ = io.CopyN(io.Discard, r, drainSize)
	return excerpt
}

// verdict says what the answer means for the task. It is a pure function.
func verdict(method string, u *url.URL, resp *http.Response, excerpt []byte, now time.Time) error {
	code := resp.StatusCode
	if code >= 200 && code < 300 {
		return nil
	}
	err := fmt.Errorf("httptask: %s %s: %s", method, redact(u), strings.TrimSpace(strconv.Itoa(code)+" "+http.StatusText(code)))
	if text := printable(excerpt); text != "" {
		err = fmt.Errorf("%w: %s", err, text)
	}
	err = task.WithKind(err, "http_"+strconv.Itoa(code))
	switch {
	case code == http.StatusTooManyRequests, code == http.StatusServiceUnavailable:
		return task.Retry(err, retryAfter(resp.Header.Get("Retry-After"), now))
	case code >= 300 && code < 400:
		return task.Discard(fmt.Errorf("%w (redirects are not followed)", err))
	case code >= 400 && code < 500:
		return task.Discard(err)
	}
	return err
}

// retryAfter reads a Retry-After header: seconds or a date (RFC 9110, section
// 10.2.3). It returns 0 for one that is absent, malformed or not in the future.
func retryAfter(s string, now time.Time) time.Duration {
	if n, err := strconv.ParseUint(s, 10, 32); err == nil {
		return min(time.Duration(n)*time.Second, maxAfter)
	}
	at, err := http.ParseTime(s)
	if err != nil {
		return 0
	}
	return min(max(at.Sub(now), 0), maxAfter)
}

// printable makes one line of text of the beginning of an answer.
func printable(b []byte) string {
	s := strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(string(b), " "))
	return strings.Join(strings.Fields(s), " ")
}
