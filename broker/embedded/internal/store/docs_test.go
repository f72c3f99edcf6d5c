package store

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestDocs: docs/embedded-store.md has the format that the code writes.
func TestDocs(t *testing.T) {
	b, err := os.ReadFile(filepath.Join("..", "..", "..", "..", "docs", "embedded-store.md"))
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		fmt.Sprintf("Format version %d.", FormatVersion),
		fmt.Sprintf("journal: %d bytes", fileHeader),
		fmt.Sprintf("`%s`, ...", segmentName(1)),
		fmt.Sprintf("%d MiB after a group", DefaultSegmentBytes>>20),
		fmt.Sprintf("is full (%d MiB)", DefaultReserveBytes>>20),
		fmt.Sprintf("| `*%s` |", damagedSuffix),
		fmt.Sprintf("takes %d bytes", messageBytes(&Record{Exchange: "0123456789", Key: "0123456789", Props: make([]byte, 3), Body: make([]byte, 100)}, 1, refBytes)),
	}
	for _, name := range []string{journalName, journalNew, reserveName, lockName, magic} {
		want = append(want, "`"+name+"`")
	}
	for kind, name := range map[int]string{
		recMark: "mark", recMessage: "message", recCopy: "copy", recCounts: "counts", recAcks: "acks",
		recEnd: "end", recPut: "put", recDelete: "delete", recLost: "lost",
	} {
		want = append(want, fmt.Sprintf("| %d %s |", kind, name))
	}
	for _, w := range want {
		if !strings.Contains(string(b), w) {
			t.Errorf("docs/embedded-store.md does not have %q", w)
		}
	}
}
