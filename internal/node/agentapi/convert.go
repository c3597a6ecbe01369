package agentapi

import (
	"encoding"
	"fmt"
	"reflect"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// The wire messages mirror topology's types field by field, under the types'
// JSON names. One walk by name in each direction keeps the two from drifting
// apart: a Go field without its wire field is an error, found by the codec
// test, never a value silently lost.

// toWire fills msg from the struct v.
func toWire(v any, msg proto.Message) error {
	return structToWire(reflect.ValueOf(v), msg.ProtoReflect())
}

// fromWire fills the struct that v points to from msg.
func fromWire(msg proto.Message, v any) error {
	return structFromWire(msg.ProtoReflect(), reflect.ValueOf(v).Elem())
}

var timeType = reflect.TypeFor[time.Time]()

// eachField calls f for every exported field with its JSON name, walking into
// embedded structs as encoding/json does.
func eachField(t reflect.Type, f func(index int, name string, embedded bool) error) error {
	for i := range t.NumField() {
		sf := t.Field(i)
		name, _, _ := strings.Cut(sf.Tag.Get("json"), ",")
		if name == "-" || !sf.IsExported() {
			continue
		}
		if err := f(i, name, sf.Anonymous && name == ""); err != nil {
			return err
		}
	}
	return nil
}

func wireField(m protoreflect.Message, t reflect.Type, name string) (protoreflect.FieldDescriptor, error) {
	fd := m.Descriptor().Fields().ByName(protoreflect.Name(name))
	if fd == nil {
		return nil, fmt.Errorf("%s has no wire field %q in message %s", t, name, m.Descriptor().Name())
	}
	return fd, nil
}

func structToWire(v reflect.Value, m protoreflect.Message) error {
	return eachField(v.Type(), func(i int, name string, embedded bool) error {
		fv := v.Field(i)
		if embedded {
			return structToWire(fv, m)
		}
		fd, err := wireField(m, v.Type(), name)
		if err != nil {
			return err
		}
		return fieldToWire(fv, m, fd)
	})
}

func fieldToWire(v reflect.Value, m protoreflect.Message, fd protoreflect.FieldDescriptor) error {
	switch {
	case v.IsZero():
		return nil // proto3's absent is Go's zero
	case fd.IsMap():
		mp := m.Mutable(fd).Map()
		for it := v.MapRange(); it.Next(); {
			mp.Set(protoreflect.ValueOfString(validText(it.Key().String())).MapKey(), protoreflect.ValueOfInt64(it.Value().Int()))
		}
		return nil
	case fd.IsList():
		list := m.Mutable(fd).List()
		for i := range v.Len() {
			if fd.Kind() == protoreflect.MessageKind {
				if err := structToWire(v.Index(i), list.AppendMutable().Message()); err != nil {
					return err
				}
				continue
			}
			pv, err := scalarToWire(v.Index(i), fd.Kind())
			if err != nil {
				return err
			}
			list.Append(pv)
		}
		return nil
	case v.Type() == timeType:
		m.Set(fd, protoreflect.ValueOfMessage(timestamppb.New(v.Interface().(time.Time)).ProtoReflect()))
		return nil
	case fd.Kind() == protoreflect.MessageKind:
		if v.Kind() == reflect.Pointer {
			v = v.Elem()
		}
		return structToWire(v, m.Mutable(fd).Message())
	}
	pv, err := scalarToWire(v, fd.Kind())
	if err != nil {
		return err
	}
	m.Set(fd, pv)
	return nil
}

func scalarToWire(v reflect.Value, kind protoreflect.Kind) (protoreflect.Value, error) {
	switch kind {
	case protoreflect.StringKind:
		if tm, ok := v.Interface().(encoding.TextMarshaler); ok {
			b, err := tm.MarshalText()
			return protoreflect.ValueOfString(string(b)), err
		}
		if v.Kind() == reflect.String {
			return protoreflect.ValueOfString(validText(v.String())), nil
		}
	case protoreflect.BoolKind:
		return protoreflect.ValueOfBool(v.Bool()), nil
	case protoreflect.Int64Kind:
		return protoreflect.ValueOfInt64(v.Int()), nil
	case protoreflect.Uint32Kind:
		return protoreflect.ValueOfUint32(uint32(v.Uint())), nil
	case protoreflect.Uint64Kind:
		return protoreflect.ValueOfUint64(v.Uint()), nil
	}
	return protoreflect.Value{}, fmt.Errorf("%s cannot travel as %s", v.Type(), kind)
}

// validText is s as protobuf takes it: file names and messages of PostgreSQL
// may hold any bytes.
func validText(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }

func structFromWire(m protoreflect.Message, v reflect.Value) error {
	return eachField(v.Type(), func(i int, name string, embedded bool) error {
		fv := v.Field(i)
		if embedded {
			return structFromWire(m, fv)
		}
		fd, err := wireField(m, v.Type(), name)
		if err != nil {
			return err
		}
		if !m.Has(fd) {
			fv.SetZero()
			return nil
		}
		if err := fieldFromWire(m.Get(fd), fd, fv); err != nil {
			return fmt.Errorf("field %s: %w", name, err)
		}
		return nil
	})
}

func fieldFromWire(pv protoreflect.Value, fd protoreflect.FieldDescriptor, v reflect.Value) error {
	switch {
	case fd.IsMap():
		v.Set(reflect.MakeMap(v.Type()))
		pv.Map().Range(func(k protoreflect.MapKey, x protoreflect.Value) bool {
			e := reflect.New(v.Type().Elem()).Elem()
			e.SetInt(x.Int())
			v.SetMapIndex(reflect.ValueOf(k.String()), e)
			return true
		})
		return nil
	case fd.IsList():
		list := pv.List()
		v.Set(reflect.MakeSlice(v.Type(), list.Len(), list.Len()))
		for i := range list.Len() {
			var err error
			if fd.Kind() == protoreflect.MessageKind {
				err = structFromWire(list.Get(i).Message(), v.Index(i))
			} else {
				err = scalarFromWire(list.Get(i), fd.Kind(), v.Index(i))
			}
			if err != nil {
				return err
			}
		}
		return nil
	case v.Type() == timeType:
		ts, ok := pv.Message().Interface().(*timestamppb.Timestamp)
		if !ok || ts.CheckValid() != nil {
			return fmt.Errorf("not a valid time")
		}
		v.Set(reflect.ValueOf(ts.AsTime()))
		return nil
	case fd.Kind() == protoreflect.MessageKind:
		if v.Kind() == reflect.Pointer {
			v.Set(reflect.New(v.Type().Elem()))
			v = v.Elem()
		}
		return structFromWire(pv.Message(), v)
	}
	return scalarFromWire(pv, fd.Kind(), v)
}

func scalarFromWire(pv protoreflect.Value, kind protoreflect.Kind, v reflect.Value) error {
	switch kind {
	case protoreflect.StringKind:
		if tu, ok := v.Addr().Interface().(encoding.TextUnmarshaler); ok {
			return tu.UnmarshalText([]byte(pv.String()))
		}
		v.SetString(pv.String())
	case protoreflect.BoolKind:
		v.SetBool(pv.Bool())
	case protoreflect.Int64Kind:
		if v.OverflowInt(pv.Int()) {
			return fmt.Errorf("%d is out of range", pv.Int())
		}
		v.SetInt(pv.Int())
	case protoreflect.Uint32Kind, protoreflect.Uint64Kind:
		if v.OverflowUint(pv.Uint()) {
			return fmt.Errorf("%d is out of range", pv.Uint())
		}
		v.SetUint(pv.Uint())
	default:
		return fmt.Errorf("%s cannot travel as %s", v.Type(), kind)
	}
	return nil
}
