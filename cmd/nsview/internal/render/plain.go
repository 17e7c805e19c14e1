package render

import (
	"bytes"
	"encoding"
	"encoding/json"
	"reflect"
	"strings"
)

// plain turns a value into maps, lists, numbers, booleans, [text] and [null] with the keys that its JSON has, for
// templates. Unlike in JSON every optional key is there, empty or null where it says nothing: so a key that a template names
// and that is not there is a mistake.
func plain(v reflect.Value) (any, error) {
	if !v.IsValid() {
		return null(""), nil
	}
	if m, ok := marshalled(v); ok {
		return plainJSON(m)
	}
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		if v.IsNil() {
			return null(""), nil
		}
		return plain(v.Elem())
	case reflect.Struct:
		out := make(map[string]any)
		return out, plainFields(v, out)
	case reflect.Map:
		out := make(map[string]any, v.Len())
		for key, item := range v.Seq2() {
			value, err := plain(item)
			if err != nil {
				return nil, err
			}
			out[key.String()] = value
		}
		return out, nil
	case reflect.Slice, reflect.Array:
		out := make([]any, v.Len())
		for i := range out {
			var err error
			if out[i], err = plain(v.Index(i)); err != nil {
				return nil, err
			}
		}
		return out, nil
	case reflect.String:
		return text(v.String()), nil
	case reflect.Bool:
		return v.Bool(), nil
	case reflect.Float32, reflect.Float64:
		return v.Float(), nil
	}
	if v.CanUint() {
		return v.Uint(), nil
	}
	return v.Int(), nil
}

// plainFields adds the fields of a struct as encoding/json names them.
func plainFields(v reflect.Value, out map[string]any) error {
	for i := range v.NumField() {
		f := v.Type().Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case name == "-" || !f.IsExported() && !f.Anonymous:
			continue
		case f.Anonymous && name == "" && f.Type.Kind() == reflect.Struct:
			if err := plainFields(v.Field(i), out); err != nil {
				return err
			}
			continue
		case name == "":
			name = f.Name
		}
		if _, outer := out[name]; outer && f.Anonymous {
			continue
		}
		value, err := plain(v.Field(i))
		if err != nil {
			return err
		}
		out[name] = value
	}
	return nil
}

// marshalled is a value that says itself how it is written: ids, inodes, times.
func marshalled(v reflect.Value) (any, bool) {
	if !v.CanInterface() || v.Kind() == reflect.Pointer && v.IsNil() {
		return nil, false
	}
	switch v.Interface().(type) {
	case json.Marshaler, encoding.TextMarshaler:
		return v.Interface(), true
	}
	return nil, false
}

func plainJSON(v any) (any, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.UseNumber()
	var out any
	if err := dec.Decode(&out); err != nil {
		return nil, err
	}
	return plainDecoded(out), nil
}

func plainDecoded(v any) any {
	switch v := v.(type) {
	case nil:
		return null("")
	case string:
		return text(v)
	case json.Number:
		if n, err := v.Int64(); err == nil {
			return n
		}
		f, _ := v.Float64()
		return f
	case []any:
		for i := range v {
			v[i] = plainDecoded(v[i])
		}
	case map[string]any:
		for key := range v {
			v[key] = plainDecoded(v[key])
		}
	}
	return v
}
