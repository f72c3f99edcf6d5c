package control

import (
	"strconv"
	"strings"
)

// In an instance of several processes each copy of the consumer has a number, from
// 1, and the ids of its nodes end with it: mail/3@2. No other id has an @.

// copyNode is what the id of a copy's own node begins with: copy/2.
const copyNode = "copy/"

// At is the id that a node of a copy has in the tree of all copies.
func At(id string, number int) string { return id + "@" + strconv.Itoa(number) }

// CutCopy is the opposite of At. The number is 0 when the id names no copy.
func CutCopy(id string) (base string, number int) {
	i := strings.LastIndexByte(id, '@')
	if i < 0 {
		return id, 0
	}
	n, err := strconv.Atoi(id[i+1:])
	if err != nil || n < 1 || strconv.Itoa(n) != id[i+1:] {
		return id, 0
	}
	return id[:i], n
}

// within takes the node that somebody asks about apart: copy/2 is all of copy 2.
func within(node string) (base string, number int) {
	if text, ok := strings.CutPrefix(node, copyNode); ok {
		if n, err := strconv.Atoi(text); err == nil {
			return "root", n
		}
	}
	return CutCopy(node)
}

// copy is the number of the copy that an entry of the log is about, or 0.
func (as Attrs) copy() int {
	for _, a := range as {
		if n, ok := a.Value.(int64); ok && a.Key == "copy" {
			return int(n)
		}
	}
	return 0
}
