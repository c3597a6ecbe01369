package sim

import (
	"bytes"
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// underTest names the mutant that a build with all of them is to be.
const underTest = "REPOOL_SIM_MUTANT"

// overlay writes sources in which every mutant is there and sleeps: a function
// that a mutant changes begins with a question for its name, and has a changed
// copy beside it. One build then serves them all.
func overlay(t *testing.T, dir string) (file string) {
	t.Helper()
	root, err := filepath.Abs("../../internal")
	if err != nil {
		t.Fatal(err)
	}
	changed := map[string]*source{}
	for i, m := range mutants {
		for _, e := range m.edits {
			s := changed[e.file]
			if s == nil {
				s = readSource(t, filepath.Join(root, e.file))
				changed[e.file] = s
			}
			s.mutate(t, m, i, e)
		}
	}
	replace := map[string]string{}
	for _, name := range sorted(changed) {
		s := changed[name]
		to := filepath.Join(dir, strings.ReplaceAll(name, "/", "_"))
		write(t, to, s.text(t))
		replace[s.path] = to
		asks := filepath.Join(filepath.Dir(s.path), "zz_mutant.go")
		if replace[asks] == "" {
			replace[asks] = filepath.Join(dir, filepath.Base(filepath.Dir(s.path))+"_mutant.go")
			write(t, replace[asks], fmt.Appendf(nil,
				"package %s\n\nimport \"os\"\n\nvar mutantUnderTest = os.Getenv(%q)\n", s.file.Name.Name, underTest))
		}
	}
	text, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		t.Fatal(err)
	}
	file = filepath.Join(dir, "overlay.json")
	write(t, file, text)
	return file
}

func write(t *testing.T, path string, text []byte) {
	t.Helper()
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
}

// source is one real file on its way to an overlay.
type source struct {
	path string
	src  []byte
	fset *token.FileSet
	file *ast.File
	// asks are what goes before each function's body, by the body's offset;
	// copies are the changed functions.
	asks   map[int]string
	copies map[string]string
}

func parse(t *testing.T, path string, src []byte) (*token.FileSet, *ast.File) {
	t.Helper()
	fset := token.NewFileSet()
	f, err := parser.ParseFile(fset, path, src, parser.SkipObjectResolution)
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return fset, f
}

func readSource(t *testing.T, path string) *source {
	t.Helper()
	src, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	s := &source{path: path, src: src, asks: map[int]string{}, copies: map[string]string{}}
	s.fset, s.file = parse(t, path, src)
	return s
}

// around finds the function that holds an offset.
func around(fset *token.FileSet, f *ast.File, at int) *ast.FuncDecl {
	for _, d := range f.Decls {
		fn, is := d.(*ast.FuncDecl)
		if is && fset.Position(fn.Pos()).Offset <= at && at < fset.Position(fn.End()).Offset {
			return fn
		}
	}
	return nil
}

// mutate adds one edit.
func (s *source) mutate(t *testing.T, m mutant, number int, e edit) {
	t.Helper()
	if n := bytes.Count(s.src, []byte(e.old)); n != 1 {
		t.Fatalf("mutant %q: %s holds %d times, not once: %s", m.name, e.file, n, e.old)
	}
	at := bytes.Index(s.src, []byte(e.old))
	fn := around(s.fset, s.file, at)
	if fn == nil {
		t.Fatalf("mutant %q: in %s this is in no function: %s", m.name, e.file, e.old)
	}
	name := fmt.Sprintf("%s_mutant%d", fn.Name.Name, number)
	text := s.copies[name] // of another edit in the same function
	if text == "" {
		text = string(s.src[s.fset.Position(fn.Pos()).Offset:s.fset.Position(fn.End()).Offset])
		text = strings.Replace(text, fn.Name.Name+"(", name+"(", 1)
		s.asks[s.fset.Position(fn.Body.Lbrace).Offset+1] += fmt.Sprintf("\nif mutantUnderTest == %q { %s }\n", m.name,
			s.passOn(t, fn, name))
	}
	s.copies[name] = strings.Replace(text, e.old, e.new, 1)
}

// passOn calls the changed copy with the function's own arguments.
func (s *source) passOn(t *testing.T, fn *ast.FuncDecl, name string) string {
	t.Helper()
	var args []string
	for _, p := range fn.Type.Params.List {
		typ := string(s.src[s.fset.Position(p.Type.Pos()).Offset:s.fset.Position(p.Type.End()).Offset])
		if len(p.Names) == 0 {
			args = append(args, "*new("+typ+")")
		}
		for _, n := range p.Names {
			switch {
			case n.Name == "_":
				args = append(args, "*new("+typ+")")
			case strings.HasPrefix(typ, "..."):
				args = append(args, n.Name+"...")
			default:
				args = append(args, n.Name)
			}
		}
	}
	if fn.Recv != nil {
		if len(fn.Recv.List[0].Names) == 0 {
			t.Fatalf("%s: the receiver of %s has no name", s.path, fn.Name.Name)
		}
		name = fn.Recv.List[0].Names[0].Name + "." + name
	}
	call := name + "(" + strings.Join(args, ", ") + ")"
	if fn.Type.Results == nil {
		return call + "; return"
	}
	return "return " + call
}

// text is the file with all its mutants.
func (s *source) text(t *testing.T) []byte {
	t.Helper()
	out := slices.Clone(s.src)
	places := sorted(s.asks)
	slices.Reverse(places)
	for _, at := range places {
		out = slices.Concat(out[:at], []byte(s.asks[at]), out[at:])
	}
	for _, name := range sorted(s.copies) {
		out = slices.Concat(out, []byte("\n"+s.copies[name]+"\n"))
	}
	parse(t, s.path, out)
	return out
}
