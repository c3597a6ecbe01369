package config

import (
	"errors"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// decode reads YAML into conf and notes everything wrong with it in ps. It
// walks the parsed tree itself, because the library's strict mode stops at the
// first problem.
func decode(text []byte, conf *Config, ps *problems) {
	file, err := parser.ParseBytes(text, 0)
	if err != nil {
		ps.addSyntax(err)
		return
	}
	seen := false
	for _, doc := range file.Docs {
		if doc == nil || doc.Body == nil || doc.Body.Type() == ast.NullType {
			continue
		}
		if seen {
			ps.add(placeOf(doc.Body), "a second YAML document: write everything into one, without ---")
			return
		}
		seen = true
		d := decoder{ps}
		d.value(doc.Body, reflect.ValueOf(conf).Elem(), "")
	}
}

// addSyntax notes an error of the YAML parser.
func (ps *problems) addSyntax(err error) {
	var e yaml.Error
	if errors.As(err, &e) && e.GetToken() != nil {
		ps.add(placeAt(e.GetToken()), "not valid YAML: %s", e.GetMessage())
		return
	}
	ps.add(place{1, 1}, "not valid YAML: %s", firstLine(err.Error()))
}

type decoder struct{ ps *problems }

var durationType = reflect.TypeFor[time.Duration]()

// value stores node in v. A null leaves the default.
func (d decoder) value(node ast.Node, v reflect.Value, path string) {
	if path != "" {
		if _, ok := d.ps.at[path]; !ok {
			d.ps.at[path] = placeOf(node)
		}
	}
	switch node.(type) {
	case *ast.NullNode:
		return
	case *ast.AnchorNode, *ast.AliasNode, *ast.TagNode, *ast.MergeKeyNode:
		d.wrong(node, path, "anchors, aliases and tags are not supported: write the value out")
		return
	}
	switch {
	case v.Type() == durationType:
		d.duration(node, v, path)
	case v.Kind() == reflect.Struct:
		d.object(node, v, path)
	case v.Kind() == reflect.Map:
		d.words(node, v, path)
	case v.Kind() == reflect.Slice:
		d.list(node, v, path)
	case v.Kind() == reflect.Int:
		d.integer(node, v, path)
	default:
		if s, ok := scalar(node); ok {
			v.SetString(s)
			return
		}
		d.wrong(node, path, "must be text, got %s", kindOf(node))
	}
}

// object stores a mapping in a struct, whose yaml tags are the known keys.
func (d decoder) object(node ast.Node, v reflect.Value, path string) {
	pairs, ok := mapping(node)
	if !ok {
		d.wrong(node, path, "must be keys and values, got %s", kindOf(node))
		return
	}
	fields, names := map[string]reflect.Value{}, []string(nil)
	for i := range v.NumField() {
		name := v.Type().Field(i).Tag.Get("yaml")
		fields[name], names = v.Field(i), append(names, name)
	}
	for _, p := range pairs {
		key := keyText(p)
		field, ok := fields[key]
		if !ok {
			where := ""
			if path != "" {
				where = " in " + path
			}
			d.ps.add(placeAt(p.Key.GetToken()), "unknown key %q%s%s", key, where, meant(key, names))
			continue
		}
		at := join(path, key)
		d.ps.at[at] = placeAt(p.Key.GetToken())
		d.value(p.Value, field, at)
	}
}

// words stores a mapping of text to text.
func (d decoder) words(node ast.Node, v reflect.Value, path string) {
	pairs, ok := mapping(node)
	if !ok {
		d.wrong(node, path, "must be keys and values, got %s", kindOf(node))
		return
	}
	m := reflect.MakeMap(v.Type())
	for _, p := range pairs {
		key := keyText(p)
		at := join(path, key)
		d.ps.at[at] = placeAt(p.Key.GetToken())
		val := reflect.New(v.Type().Elem()).Elem()
		d.value(p.Value, val, at)
		m.SetMapIndex(reflect.ValueOf(key), val)
	}
	v.Set(m)
}

func (d decoder) list(node ast.Node, v reflect.Value, path string) {
	seq, ok := node.(*ast.SequenceNode)
	if !ok {
		d.wrong(node, path, "must be a list, each item after a dash, got %s", kindOf(node))
		return
	}
	out := reflect.MakeSlice(v.Type(), len(seq.Values), len(seq.Values))
	for i, n := range seq.Values {
		at := path + "[" + strconv.Itoa(i) + "]"
		d.ps.at[at] = placeOf(n)
		d.value(n, out.Index(i), at)
	}
	v.Set(out)
}

func (d decoder) duration(node ast.Node, v reflect.Value, path string) {
	s, ok := scalar(node)
	dur, err := time.ParseDuration(s)
	if !ok || err != nil {
		d.wrong(node, path, "must be a duration with its unit, such as 500ms, 5s or 2m, got %s", shown(node))
		return
	}
	v.SetInt(int64(dur))
}

func (d decoder) integer(node ast.Node, v reflect.Value, path string) {
	s, ok := scalar(node)
	n, err := strconv.ParseInt(s, 10, 32)
	if !ok || err != nil {
		d.wrong(node, path, "must be a whole number, got %s", shown(node))
		return
	}
	v.SetInt(n)
}

// wrong notes a value of the wrong kind, at the value and not at its key.
func (d decoder) wrong(node ast.Node, path, format string, args ...any) {
	if path != "" {
		format = path + ": " + format
	}
	d.ps.add(placeOf(node), format, args...)
}

// mapping gives the pairs of a mapping; the parser has two forms of it.
func mapping(node ast.Node) ([]*ast.MappingValueNode, bool) {
	switch n := node.(type) {
	case *ast.MappingNode:
		return n.Values, true
	case *ast.MappingValueNode:
		return []*ast.MappingValueNode{n}, true
	}
	return nil, false
}

func keyText(p *ast.MappingValueNode) string {
	if s, ok := p.Key.(*ast.StringNode); ok {
		return s.Value
	}
	return p.Key.GetToken().Value
}

// scalar is the text of a plain value; not ok: a list or a mapping.
func scalar(node ast.Node) (string, bool) {
	switch n := node.(type) {
	case *ast.StringNode:
		return n.Value, true
	case *ast.LiteralNode:
		return strings.TrimRight(n.Value.Value, "\n"), true
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.InfinityNode, *ast.NanNode:
		return node.GetToken().Value, true
	}
	return "", false
}

func kindOf(node ast.Node) string {
	switch node.(type) {
	case *ast.SequenceNode:
		return "a list"
	case *ast.MappingNode, *ast.MappingValueNode:
		return "keys and values"
	}
	return shown(node)
}

// shown is a value for a message: short, on one line.
func shown(node ast.Node) string {
	s, ok := scalar(node)
	if !ok {
		switch node.(type) {
		case *ast.SequenceNode, *ast.MappingNode, *ast.MappingValueNode:
			return kindOf(node)
		}
		return "something else"
	}
	if len(s) > 60 {
		s = s[:60] + "…"
	}
	return strconv.Quote(s)
}

func placeOf(node ast.Node) place {
	if m, ok := node.(*ast.MappingNode); ok && len(m.Values) > 0 && !m.IsFlowStyle {
		return placeOf(m.Values[0])
	}
	if m, ok := node.(*ast.MappingValueNode); ok {
		return placeAt(m.Key.GetToken())
	}
	return placeAt(node.GetToken())
}

func placeAt(t *token.Token) place {
	if t == nil || t.Position == nil {
		return place{1, 1}
	}
	return place{t.Position.Line, t.Position.Column}
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

func firstLine(s string) string {
	s, _, _ = strings.Cut(s, "\n")
	return s
}
