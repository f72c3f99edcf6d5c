package doctest

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// fence is a fenced block of a document. The first word after the backticks is
// its language; the second says what the tests do with it, see docs_test.go.
type fence struct {
	file       string
	line       int
	lang, word string
	text       string
}

func fences(t *testing.T, file string) []fence {
	t.Helper()
	var all []fence
	inside := false
	n := 0
	for line := range strings.Lines(read(t, file)) {
		n++
		marks, isFence := strings.CutPrefix(line, "```")
		switch {
		case isFence && !inside:
			lang, word, _ := strings.Cut(strings.TrimSpace(marks), " ")
			all = append(all, fence{file: file, line: n, lang: lang, word: word})
			inside = true
		case isFence:
			inside = false
		case inside:
			all[len(all)-1].text += line
		}
	}
	if inside {
		t.Fatalf("%s:%d: a block without an end", file, n)
	}
	return all
}

func read(t *testing.T, file string) string {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// documents are all Markdown files of the project.
func documents(t *testing.T) []string {
	t.Helper()
	var all []string
	for _, pattern := range []string{"*.md", "docs/*.md", "docs/adr/*.md", "examples/*/*.md"} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, found...)
	}
	return all
}

// Every relative link leads to a file, and to a heading of it where it names one.
func TestLinks(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)\s]+)\)`)
	seen := 0
	for _, doc := range documents(t) {
		for _, m := range link.FindAllStringSubmatch(read(t, doc), -1) {
			if strings.Contains(m[1], "://") {
				continue
			}
			seen++
			path, anchor, _ := strings.Cut(m[1], "#")
			target := doc
			if path != "" {
				target = filepath.Join(filepath.Dir(doc), path)
			}
			if _, err := os.Stat(target); err != nil {
				t.Errorf("%s: link to %s: %v", doc, m[1], err)
			} else if anchor != "" && !anchors(read(t, target))[anchor] {
				t.Errorf("%s: link to %s: no such heading", doc, m[1])
			}
		}
	}
	if seen < 20 {
		t.Errorf("%d links found: is the pattern right?", seen)
	}
}

// anchors are the headings as GitHub names them.
func anchors(markdown string) map[string]bool {
	other := regexp.MustCompile(`[^\p{L}\p{N} _-]`)
	all := map[string]bool{}
	for line := range strings.Lines(markdown) {
		if title, ok := strings.CutPrefix(strings.TrimLeft(line, "#"), " "); ok && line[0] == '#' {
			name := other.ReplaceAllString(strings.ToLower(strings.TrimSpace(title)), "")
			all[strings.ReplaceAll(name, " ", "-")] = true
		}
	}
	return all
}
