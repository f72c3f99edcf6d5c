package wire

import (
	"maps"
	"slices"
	"strings"
)

// Term writes a value of a table as RabbitMQ's texts have it where they show a
// value of any type, by Erlang's ~p: <<"text">>, 5, [{<<"name">>,bool,true}]. Unlike
// Erlang it does not break lines.
func Term(v any) string {
	switch v := v.(type) {
	case string:
		return binaryTerm(v)
	case []byte:
		return binaryTerm(string(v))
	case Table:
		fields := make([]string, 0, len(v))
		for _, name := range slices.Sorted(maps.Keys(v)) {
			fields = append(fields, "{"+binaryTerm(name)+","+TypeName(v[name])+","+Term(v[name])+"}")
		}
		return "[" + strings.Join(fields, ",") + "]"
	case []any:
		elements := make([]string, 0, len(v))
		for _, e := range v {
			elements = append(elements, "{"+TypeName(e)+","+Term(e)+"}")
		}
		return "[" + strings.Join(elements, ",") + "]"
	}
	return erlang(v)
}

// binaryTerm writes a binary as text if all of it can be printed as Latin-1, which
// is what Erlang asks even of UTF-8, otherwise as numbers.
func binaryTerm(s string) string {
	var b strings.Builder
	b.WriteString(`<<"`)
	for i := range len(s) {
		c := s[i]
		switch {
		case c == '"' || c == '\\':
			b.WriteByte('\\')
			b.WriteByte(c)
		case c >= 8 && c <= 13 || c == 27:
			b.WriteByte('\\')
			b.WriteByte("btnvfr"[min(c-8, 5)])
		case c >= 32 && c <= 126 || c >= 160:
			b.WriteByte(c)
		default:
			return binaryNumbers(s)
		}
	}
	b.WriteString(`">>`)
	if s == "" {
		return "<<>>"
	}
	return b.String()
}

func binaryNumbers(s string) string {
	numbers := make([]string, len(s))
	for i := range len(s) {
		numbers[i] = erlang(s[i])
	}
	return "<<" + strings.Join(numbers, ",") + ">>"
}
