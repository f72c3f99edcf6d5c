package main

import (
	"bytes"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/magne-actors/magne-actors/config"
)

// TestWhoFlushes: what is named publishes the messages of that directory.
func TestWhoFlushes(t *testing.T) {
	file := &config.File{Broker: config.Broker{Spool: config.Spool{Dir: "/var/spool"}}}
	for _, tt := range []struct {
		flag string
		file *config.File
		want string
	}{
		{"", file, "`magne-actors run` or `magne-actors publish --flush` publishes them"},
		{"/var/spool", file, "`magne-actors run` or `magne-actors publish --flush` publishes them"},
		{"/tmp/x", file, "`magne-actors publish --flush --spool-dir /tmp/x` publishes them"},
		{"/tmp/it's", nil, `--spool-dir '/tmp/it'\''s'`},
	} {
		if got := (&publishFlags{spoolDir: tt.flag}).whoFlushes(tt.file); !strings.HasPrefix(got, tt.want) && !strings.Contains(got, "flush "+tt.want) {
			t.Errorf("--spool-dir %q: got %s, want %s", tt.flag, got, tt.want)
		}
	}
}

// TestProgressLines: what looks says so, and what makes says that.
func TestProgressLines(t *testing.T) {
	var out bytes.Buffer
	p := &progress{out: &out, shown: time.Time{}}
	p.show(3, 10, "%d fit", 2)
	p.shown = time.Time{}
	p.step(4, 7, "made %d of %d", 4, 7)
	if want := "looked at 3 of 10, 2 fit\nmade 4 of 7\n"; out.String() != want {
		t.Errorf("got %q, want %q", out.String(), want)
	}
}

func TestExportAllOrSome(t *testing.T) {
	var stderr strings.Builder
	code := run(t.Context(), strings.Fields("dlq export work - --all --reason decode"), strings.NewReader(""), io.Discard, &stderr)
	if code != exitUsage || !strings.Contains(stderr.String(), "only some of them") {
		t.Errorf("got %d %q", code, stderr.String())
	}
}
