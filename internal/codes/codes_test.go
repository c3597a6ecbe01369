package codes

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// TestRunbookHasEveryCode keeps docs/runbook.md and the codes together.
func TestRunbookHasEveryCode(t *testing.T) {
	t.Parallel()
	b, err := os.ReadFile("../../docs/runbook.md")
	if err != nil {
		t.Fatal(err)
	}
	var headings []string
	for _, m := range regexp.MustCompile("(?m)^## ([a-z-]+)$").FindAllStringSubmatch(string(b), -1) {
		headings = append(headings, m[1])
	}
	for _, c := range All() {
		if !slices.Contains(headings, string(c.Code)) {
			t.Errorf("docs/runbook.md has no entry \"## %s\"", c.Code)
		}
	}
	for i, h := range headings {
		if _, known := Explain(Code(h)); !known {
			t.Errorf("docs/runbook.md explains %s, which is not a code", h)
		}
		if slices.Contains(headings[:i], h) {
			t.Errorf("docs/runbook.md explains %s twice", h)
		}
	}
}

// TestEveryConstantIsDescribedOnce reads the constants from the source.
func TestEveryConstantIsDescribedOnce(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	constants := map[Code]string{}
	for _, file := range files {
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(f, func(x ast.Node) bool {
			spec, ok := x.(*ast.ValueSpec)
			if !ok || len(spec.Values) != 1 {
				return true
			}
			typ, _ := spec.Type.(*ast.Ident)
			lit, _ := spec.Values[0].(*ast.BasicLit)
			if typ == nil || typ.Name != "Code" || lit == nil {
				return true
			}
			value, err := strconv.Unquote(lit.Value)
			if err != nil {
				t.Fatal(err)
			}
			if other := constants[Code(value)]; other != "" {
				t.Errorf("%s and %s are the same code", other, spec.Names[0].Name)
			}
			constants[Code(value)] = spec.Names[0].Name
			return true
		})
	}
	described := map[Code]bool{}
	for _, table := range [][]Info{pool, primary, node, refusals, runs, requests, records} {
		for _, i := range table {
			if described[i.Code] {
				t.Errorf("%s is described twice", i.Code)
			}
			described[i.Code] = true
			if i.Means == "" || i.Severity == "" {
				t.Errorf("%s has no meaning or no severity", i.Code)
			}
			if strings.HasSuffix(i.Means, ".") || strings.HasSuffix(i.Do, ".") {
				t.Errorf("%s: a meaning and a remedy have no full stop at their end", i.Code)
			}
		}
	}
	for value, name := range constants {
		if !described[value] {
			t.Errorf("%s is not described", name)
		}
	}
	if len(constants) < 90 || len(constants) != len(described) || len(All()) != len(described) {
		t.Errorf("%d constants, %d descriptions, %d in the list", len(constants), len(described), len(All()))
	}
}

func TestExplain(t *testing.T) {
	t.Parallel()
	if _, known := Explain("no-such-code"); known {
		t.Error("an unknown code is known")
	}
	info, _ := Explain(OnHold)
	if got := info.Hint("3"); got != "repool release 3" {
		t.Errorf("hint %q", got)
	}
}
