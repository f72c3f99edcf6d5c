package config

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/magne-actors/magne-actors/supervisor"
)

// setting is the value of a key, with all defaults.
type setting struct {
	key    string
	value  string // for comparing only; empty for what is not there or is zero
	shown  string // for people
	hidden bool   // the value is nobody's business
}

// settings are those of the file that a reload cannot change.
func (f *File) settings() []setting {
	w := settingWriter{read: f.read}
	w.structure(reflect.ValueOf(*f), "")
	return slices.DeleteFunc(w.list, func(s setting) bool {
		switch {
		case strings.HasPrefix(s.key, "broker.embedded."):
			return !f.Broker.IsEmbedded() // then it is not used
		case s.key == "supervision.defaults.restart" || s.key == "supervision.defaults.shutdown":
			return true // they are in the pools
		default:
			return false
		}
	})
}

func (f *File) poolSettings(p *Pool) []setting {
	w := settingWriter{read: f.read, around: poolPath(p.Name) + "."}
	w.structure(reflect.ValueOf(*p), "")
	return slices.DeleteFunc(w.list, func(s setting) bool { return s.key == "workers" && p.Size != nil })
}

// settingWriter lists the fields of a structure by their keys.
type settingWriter struct {
	read   *reader
	around string // the path that the keys are below
	list   []setting
}

func (w *settingWriter) structure(v reflect.Value, prefix string) {
	for field, value := range v.Fields() {
		name, squash := strings.CutSuffix(field.Tag.Get("mapstructure"), ",squash")
		before := len(w.list)
		switch {
		case !field.IsExported() || name == "-" && field.Type != reflect.TypeFor[Secret]():
		case squash:
			w.structure(value, prefix)
		case name == "-": // what a file or a variable contains belongs to the key that names it
			w.value(value, strings.TrimSuffix(prefix, "."))
		case name == "":
			w.value(value, prefix+strings.ToLower(field.Name))
		default:
			w.value(value, prefix+name)
		}
		if value.IsZero() && len(w.list) > before {
			w.list[before].value = "" // zero is as good as not there; an entry of a map is not
		}
	}
}

func (w *settingWriter) value(v reflect.Value, key string) {
	switch x := v.Interface().(type) {
	case Secret:
		w.add(key, x.Reveal(), "", true)
		return
	case []Secret:
		var all []string
		for _, s := range x {
			all = append(all, s.Reveal())
		}
		w.add(key, fmt.Sprintf("%q", all), "", true)
		return
	case time.Duration:
		w.add(key, x.String(), patient(x), false)
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			w.value(v.Elem(), key)
		}
	case reflect.Struct:
		w.structure(v, key+".")
	case reflect.Map:
		for _, name := range slices.SortedFunc(slices.Values(v.MapKeys()), func(a, b reflect.Value) int { return strings.Compare(a.String(), b.String()) }) {
			w.value(v.MapIndex(name), key+component(name.String()))
		}
	case reflect.Slice:
		w.add(key, fmt.Sprintf("%q", v.Interface()), "", true) // arguments may be secrets, too
	default:
		text := fmt.Sprint(v.Interface())
		if v.Kind() == reflect.Uint64 && v.Uint() == ^uint64(0) {
			text = "unlimited"
		}
		w.add(key, text, scalar{text: text, tag: "!!"}.show(), strings.HasPrefix(key, "process.env."))
	}
}

// add lists a value. What came out of a variable or a file is not shown: nobody
// has written it in the configuration.
func (w *settingWriter) add(key, value, shown string, hidden bool) {
	hidden = hidden || w.read.hidden[w.around+key]
	w.list = append(w.list, setting{key: key, value: "=" + value, shown: shown, hidden: hidden})
}

// patient is a duration, or the word for it.
func patient(d time.Duration) string {
	switch d {
	case supervisor.Infinity:
		return "infinity"
	case supervisor.BrutalKill:
		return "brutal_kill"
	default:
		return short(d)
	}
}
