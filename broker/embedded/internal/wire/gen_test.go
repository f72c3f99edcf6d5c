package wire_test

import (
	"reflect"
	"strings"
	"time"

	"pgregory.net/rapid"

	"github.com/magne-actors/magne-actors/broker/embedded/internal/wire"
)

// Generators of what the package reads and writes.

// allMethods returns one empty struct of each method.
func allMethods() []wire.Method {
	var all []wire.Method
	for class := range uint16(100) {
		for method := range uint16(130) {
			if m := wire.NewMethod(class, method); m != nil {
				all = append(all, m)
			}
		}
	}
	return all
}

// fill gives each field of a method a value.
func fill(t *rapid.T, m wire.Method) {
	v := reflect.ValueOf(m).Elem()
	for i := range v.NumField() {
		name := v.Type().Field(i).Name
		switch f := v.Field(i); f.Kind() {
		case reflect.Bool:
			f.SetBool(rapid.Bool().Draw(t, name))
		case reflect.String:
			f.SetString(shortString().Draw(t, name))
		case reflect.Map:
			if table := tables(3).Draw(t, name); len(table) > 0 { // an empty one is parsed as nil
				f.Set(reflect.ValueOf(table))
			}
		default:
			f.SetUint(rapid.Uint64().Draw(t, name) >> (64 - f.Type().Bits()))
		}
	}
}

func shortString() *rapid.Generator[string] {
	return rapid.Custom(func(t *rapid.T) string {
		s := rapid.StringN(0, -1, 255).Draw(t, "s")
		return strings.ToValidUTF8(s, "?")
	})
}

func tables(depth int) *rapid.Generator[wire.Table] {
	return rapid.Custom(func(t *rapid.T) wire.Table {
		return rapid.MapOfN(shortString(), values(depth-1), 0, 5).Draw(t, "table")
	})
}

func values(depth int) *rapid.Generator[any] {
	scalars := []*rapid.Generator[any]{
		rapid.Just[any](nil),
		rapid.Bool().AsAny(), rapid.Int8().AsAny(), rapid.Uint8().AsAny(),
		rapid.Int16().AsAny(), rapid.Uint16().AsAny(), rapid.Int32().AsAny(), rapid.Uint32().AsAny(),
		rapid.Int64().AsAny(), rapid.Float32().AsAny(), rapid.Float64().AsAny(),
		rapid.String().AsAny(), rapid.SliceOf(rapid.Byte()).AsAny(), times().AsAny(), decimals().AsAny(),
	}
	if depth <= 0 {
		return rapid.OneOf(scalars...)
	}
	return rapid.OneOf(append(scalars,
		rapid.SliceOfN(values(depth-1), 0, 4).AsAny(),
		tables(depth).AsAny(),
	)...)
}

func times() *rapid.Generator[time.Time] {
	return rapid.Map(rapid.Int64(), func(s int64) time.Time { return time.Unix(s, 0).UTC() })
}

func decimals() *rapid.Generator[wire.Decimal] {
	return rapid.Custom(func(t *rapid.T) wire.Decimal {
		return wire.Decimal{Scale: rapid.Uint8().Draw(t, "scale"), Value: rapid.Int32().Draw(t, "value")}
	})
}

func allProperties() *rapid.Generator[*wire.Properties] {
	return rapid.Custom(func(t *rapid.T) *wire.Properties {
		p := &wire.Properties{}
		v := reflect.ValueOf(p).Elem()
		bit := wire.PropContentType
		for i := 1; i < v.NumField(); i, bit = i+1, bit>>1 {
			if !rapid.Bool().Draw(t, "present") {
				continue
			}
			p.Present |= bit
			switch f := v.Field(i); f.Interface().(type) {
			case string:
				f.SetString(shortString().Draw(t, "text"))
			case uint8:
				f.SetUint(uint64(rapid.Uint8().Draw(t, "octet")))
			case time.Time:
				f.Set(reflect.ValueOf(times().Draw(t, "time")))
			case wire.Table:
				f.Set(reflect.ValueOf(tables(3).Draw(t, "headers")))
			}
		}
		return p
	})
}
