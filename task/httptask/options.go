package httptask

import (
	"cmp"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/magne-actors/magne-actors/task"
)

// Options says which endpoint to call. URL is needed; the zero value of every
// other field is a usable default.
type Options struct {
	// URL is absolute, of scheme http or https, with the placeholders {task},
	// {id} and {queue} in its path or query. A user and password in it are sent
	// as basic authentication.
	URL string

	// Method is GET, HEAD, POST, PUT, PATCH or DELETE; POST by default.
	Method string

	// Headers are sent with every request. Those that the package sets itself,
	// and those that frame the request, are refused.
	Headers map[string]string

	// MaxConcurrent bounds the connections to the host, and so the requests at
	// one time (of HTTP/1); it is the number of slots as a rule. Further ones
	// wait. 0 is no limit, and then at most 64 idle connections are kept.
	MaxConcurrent int

	// Timeout bounds one request from its beginning to the answer's headers,
	// besides the deadline of the task; 0 is no bound of its own.
	Timeout time.Duration
}

// New returns a handler that calls the endpoint. It connects to nothing yet. The
// error lists everything that is wrong with the options, and never contains the
// URL's password or query, nor a header's value.
func New(o Options) (task.Handler, error) {
	tpl, urlErr := parseTemplate(o.URL)
	header, headerErr := checkHeaders(o.Headers)
	errs := []error{urlErr, headerErr}
	o.Method = cmp.Or(o.Method, http.MethodPost)
	if !slices.Contains(methods(), o.Method) {
		errs = append(errs, fmt.Errorf("httptask: method %q: want one of %s", o.Method, strings.Join(methods(), ", ")))
	}
	if o.MaxConcurrent < 0 {
		errs = append(errs, fmt.Errorf("httptask: max concurrent: want 0 or more, got %d", o.MaxConcurrent))
	}
	if o.Timeout < 0 {
		errs = append(errs, fmt.Errorf("httptask: timeout: want 0 or more, got %v", o.Timeout))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	if u := tpl.user; u != nil && header.Get("Authorization") == "" {
		password, _ := u.Password()
		header.Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(u.Username()+":"+password)))
	}
	return &handler{
		template:  tpl,
		method:    o.Method,
		header:    header,
		timeout:   o.Timeout,
		transport: newTransport(o.MaxConcurrent),
	}, nil
}

func methods() []string {
	return []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete}
}

func hasBody(method string) bool {
	return method == http.MethodPost || method == http.MethodPut || method == http.MethodPatch
}

// newTransport makes a pool of connections. The default one keeps two idle
// connections a host, so that busy slots would dial for nearly every task.
func newTransport(maxConcurrent int) *http.Transport {
	return &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            (&net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
		TLSHandshakeTimeout:    10 * time.Second,
		ForceAttemptHTTP2:      true,
		MaxConnsPerHost:        maxConcurrent,
		MaxIdleConns:           0, // one host: the limit is the host's
		MaxIdleConnsPerHost:    cmp.Or(maxConcurrent, 64),
		IdleConnTimeout:        90 * time.Second,
		MaxResponseHeaderBytes: 64 << 10,
		DisableCompression:     true, // the body is thrown away, so nothing shall unpack it
	}
}

// checkHeaders returns the configured headers, or an error that names all that
// cannot be sent.
func checkHeaders(headers map[string]string) (http.Header, error) {
	reserved := []string{
		"X-Magne-Task", "X-Magne-Id", "X-Magne-Attempt", "X-Magne-Queue", "Idempotency-Key", "Content-Type",
		"Content-Length", "Transfer-Encoding", "Connection", "Trailer", "Te", "Upgrade", "Expect",
	}
	h := make(http.Header, len(headers)+6)
	var errs []error
	for name, value := range headers {
		canonical := http.CanonicalHeaderKey(name)
		switch {
		case !isToken(name):
			errs = append(errs, fmt.Errorf("httptask: header %q: not a header name", name))
		case slices.Contains(reserved, canonical):
			errs = append(errs, fmt.Errorf("httptask: header %q: is set by magne-actors", name))
		case strings.ContainsFunc(value, isControl):
			errs = append(errs, fmt.Errorf("httptask: header %q: its value has a control character", name))
		case h.Values(canonical) != nil:
			errs = append(errs, fmt.Errorf("httptask: header %q: given twice", canonical))
		default:
			h.Set(canonical, value)
		}
	}
	slices.SortFunc(errs, func(a, b error) int { return cmp.Compare(a.Error(), b.Error()) })
	return h, errors.Join(errs...)
}

// isToken reports whether s is a token of RFC 9110, section 5.6.2.
func isToken(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return r <= ' ' || r >= 0x7f || strings.ContainsRune(`"(),/:;<=>?@[\]{}`, r)
	})
}

func isControl(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }
