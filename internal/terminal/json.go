package terminal

import (
	"encoding/json"
	"fmt"
	"io"
	"reflect"
)

// PrintJSON prints v as indented JSON with a newline. A list that is empty is
// [] and never null, so that a script can loop over it.
func PrintJSON(w io.Writer, v any) error {
	if v != nil {
		own := reflect.New(reflect.TypeOf(v)).Elem()
		own.Set(reflect.ValueOf(v))
		emptyLists(own)
		v = own.Interface()
	}
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return fmt.Errorf("print JSON: %w", err)
	}
	return nil
}

// PrintJSONLine is PrintJSON in one line, for a stream of values.
func PrintJSONLine(w io.Writer, v any) error {
	if err := json.NewEncoder(w).Encode(v); err != nil {
		return fmt.Errorf("print JSON: %w", err)
	}
	return nil
}

// emptyLists replaces every nil slice in v, which must be settable, with an empty
// one. Maps are left alone.
func emptyLists(v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			emptyLists(v.Elem())
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				emptyLists(v.Field(i))
			}
		}
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			return // text or raw JSON
		}
		if v.IsNil() && v.CanSet() {
			v.Set(reflect.MakeSlice(v.Type(), 0, 0))
		}
		for i := range v.Len() {
			emptyLists(v.Index(i))
		}
	}
}
