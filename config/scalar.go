package config

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// scalar is a value as the user wrote it, after ${...} was replaced.
type scalar struct {
	text string
	// tag is YAML's idea of the type: !!str, !!int, ... It is empty when the text
	// does not come from YAML alone (environment, ${...}): then any type fits.
	tag string
	// hidden keeps the text out of messages.
	hidden bool
}

// show is the value as a message may quote it.
func (s scalar) show() string {
	if s.hidden {
		return "the value"
	}
	const most = 40
	text := s.text
	if r := []rune(text); len(r) > most {
		text = string(r[:most]) + "..."
	}
	if s.tag == "!!str" || s.tag == "" {
		return strconv.Quote(text)
	}
	return text
}

// is reports whether YAML could mean a value of that type.
func (s scalar) is(tags ...string) bool { return s.tag == "" || slices.Contains(tags, s.tag) }

// parse turns the text into the key's type: string, int, float64 or
// time.Duration. Its errors are messages for people.
func (k *key) parse(s scalar) (any, error) {
	if v, found := k.words[s.text]; found && s.is("!!str") {
		return v, nil
	}
	v, err := k.value(s)
	if err != nil && k.words != nil {
		return nil, fmt.Errorf("%w, or %s", err, enumerate(sortedNames(k.words), "or"))
	}
	return v, err
}

// value is parse without the words.
func (k *key) value(s scalar) (any, error) {
	switch k.kind {
	case list:
		return parseList(k, s)
	case percent:
		return parsePercent(k, s)
	case rate:
		return parseRate(k, s)
	case whole:
		return parseWhole(k, s)
	case number:
		return parseNumber(k, s)
	case duration:
		return parseDuration(k, s)
	case size:
		return parseSize(k, s)
	case boolean:
		return parseBoolean(s)
	default:
		return parseText(k, s)
	}
}

func parseText(k *key, s scalar) (any, error) {
	if !s.is("!!str") {
		return nil, fmt.Errorf("%s is %s where text is expected: write it in quotes", s.show(), typeName(s.tag))
	}
	if why, found := k.later[s.text]; found {
		return nil, fmt.Errorf("%s is not available in this version: %s", s.show(), why)
	}
	if k.enum != nil && !slices.Contains(k.enum, s.text) {
		return nil, fmt.Errorf("%s is not known: %s", s.show(), oneOf(s.text, k.enum))
	}
	if k.pattern != "" && k.enum == nil && !k.matches(s.text) {
		return nil, fmt.Errorf("%s does not fit: write %s", s.show(), k.patternDoc)
	}
	return s.text, nil
}

func parseBoolean(s scalar) (any, error) {
	if !s.is("!!bool") || s.text != "true" && s.text != "false" {
		return nil, fmt.Errorf("%s is neither true nor false: write one of them, without quotes", s.show())
	}
	return s.text == "true", nil
}

func parseWhole(k *key, s scalar) (any, error) {
	digits := strings.ReplaceAll(s.text, "_", "")
	n, err := strconv.Atoi(digits)
	if errors.Is(err, strconv.ErrRange) && s.is("!!int", "!!float") {
		return nil, fmt.Errorf("%s is too large: at most %s is possible", s.show(), k.hi)
	}
	if !s.is("!!int") || err != nil || digits != strconv.Itoa(n) {
		return nil, fmt.Errorf("%s is not a whole number: write it in decimal digits, without quotes, for example %s", s.show(), k.example())
	}
	return bounded(k, s, n, strconv.Atoi)
}

func parseNumber(k *key, s scalar) (any, error) {
	f, err := strconv.ParseFloat(s.text, 64)
	if !s.is("!!int", "!!float") || err != nil || math.IsNaN(f) || math.IsInf(f, 0) {
		return nil, fmt.Errorf("%s is not a number: write it without quotes, for example %s", s.show(), k.example())
	}
	return bounded(k, s, f, func(t string) (float64, error) { return strconv.ParseFloat(t, 64) })
}

func parseDuration(k *key, s scalar) (any, error) {
	d, err := time.ParseDuration(s.text)
	switch {
	case err == nil && s.is("!!str"):
		return bounded(k, s, d, time.ParseDuration)
	case digitsOnly(s.text):
		return nil, fmt.Errorf("%s has no unit: write %ss for seconds, or use ms, m or h", s.show(), s.text)
	default:
		return nil, fmt.Errorf("%s is not a duration: write it like %s, 500ms or 1h30m", s.show(), k.example())
	}
}

func parseSize(k *key, s scalar) (any, error) {
	n, ok := byteCount(s.text)
	if !s.is("!!int", "!!str") || !ok {
		return nil, fmt.Errorf("%s is not a size: write bytes, or a whole number with B, KiB, MiB, GiB, kB, MB or GB, for example %s", s.show(), k.example())
	}
	return bounded(k, s, n, func(t string) (int, error) { n, _ := byteCount(t); return n, nil })
}

// parseList reads [a, b]: that is how a default and a variable have it.
func parseList(k *key, s scalar) ([]string, error) {
	var items []string
	if err := yaml.Unmarshal([]byte(s.text), &items); err != nil || items == nil {
		return nil, fmt.Errorf("%s is not a list: write it like %s", s.show(), k.example())
	}
	return items, nil
}

// parsePercent reads 150% as 1.5.
func parsePercent(k *key, s scalar) (any, error) {
	if _, ok := percentage(s.text); !ok || !s.is("!!str") {
		return nil, fmt.Errorf("%s is not a share: write it like %s", s.show(), k.example())
	}
	return boundedBy(k, s, percentage)
}

func percentage(s string) (float64, bool) {
	digits, found := strings.CutSuffix(s, "%")
	n, err := strconv.Atoi(digits)
	return float64(n) / 100, found && err == nil && digitsOnly(digits)
}

// parseRate reads 500/s, 30/m or 10/h as a number a second.
func parseRate(k *key, s scalar) (any, error) {
	if _, ok := perSecond(s.text); !ok || !s.is("!!str") {
		return nil, fmt.Errorf("%s is not a rate: write it like %s, or with /m or /h", s.show(), k.example())
	}
	return boundedBy(k, s, perSecond)
}

func perSecond(s string) (float64, bool) {
	digits, unit, _ := strings.Cut(s, "/")
	seconds, known := map[string]float64{"s": 1, "m": 60, "h": 3600}[unit]
	n, err := strconv.Atoi(digits)
	return float64(n) / seconds, known && err == nil && digitsOnly(digits)
}

// boundedBy is bounded with a function that cannot fail for the bounds.
func boundedBy(k *key, s scalar, read func(string) (float64, bool)) (any, error) {
	v, _ := read(s.text)
	return bounded(k, s, v, func(t string) (float64, error) { v, _ := read(t); return v, nil })
}

// byteCount reads 65536, 64KiB, 64 KiB or 1MB.
func byteCount(s string) (int, bool) {
	units := map[string]int{"": 1, "B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "kB": 1e3, "MB": 1e6, "GB": 1e9}
	digits := strings.TrimRight(s, "BGKMik ")
	unit, known := units[strings.TrimSpace(s[len(digits):])]
	n, err := strconv.Atoi(digits)
	if !known || err != nil || !digitsOnly(digits) || n > math.MaxInt/unit {
		return 0, false
	}
	return n * unit, true
}

func digitsOnly(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}

// bounded checks v against the key's bounds. They are in the table, and a test parses all of them.
func bounded[T int | float64 | time.Duration](k *key, s scalar, v T, parse func(string) (T, error)) (any, error) {
	beyond := ""
	if k.beyond != "" {
		beyond = ": " + k.beyond
	}
	if k.lo == k.hi && k.lo != "" && k.lo != s.text {
		return nil, fmt.Errorf("%s is given, and only %s is possible%s", s.show(), k.lo, beyond)
	}
	if lo, err := parse(k.lo); err == nil && k.lo != "" && v < lo {
		return nil, fmt.Errorf("%s is too small: at least %s is needed%s", s.show(), k.lo, beyond)
	}
	if hi, err := parse(k.hi); err == nil && k.hi != "" && v > hi {
		return nil, fmt.Errorf("%s is too large: at most %s is possible%s", s.show(), k.hi, beyond)
	}
	return v, nil
}

// example is a value that the key takes.
func (k *key) example() string {
	sample := k.sample
	if strings.HasSuffix(k.path, ">") {
		sample = "" // a name
	}
	for _, s := range []string{sample, k.def, k.shown} {
		if s != "" && strings.Trim(s, "0s%") != "" {
			return s
		}
	}
	switch k.kind {
	case duration:
		return "30s"
	case size:
		return "64MiB"
	case percent:
		return "150%"
	case list:
		return "[a, b]"
	case boolean:
		return "true"
	default:
		return "1"
	}
}

func typeName(tag string) string {
	switch tag {
	case "!!int", "!!float":
		return "a number"
	case "!!bool":
		return "true or false"
	case "!!null":
		return "nothing"
	case "!!timestamp":
		return "a date"
	default:
		return "a value of type " + strings.TrimPrefix(tag, "!!")
	}
}
