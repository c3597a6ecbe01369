package plan

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const runbook = "../../../docs/runbook.md"

// TestRunbookHasEveryCode keeps docs/runbook.md and the codes together.
func TestRunbookHasEveryCode(t *testing.T) {
	t.Parallel()
	b, err := os.ReadFile(runbook)
	if err != nil {
		t.Fatal(err)
	}
	var headings []string
	for _, m := range regexp.MustCompile("(?m)^## ([a-z-]+)$").FindAllStringSubmatch(string(b), -1) {
		headings = append(headings, m[1])
	}
	for _, c := range Codes() {
		if !slices.Contains(headings, string(c.Code)) {
			t.Errorf("docs/runbook.md has no entry \"## %s\"", c.Code)
		}
	}
	for i, h := range headings {
		if _, known := Explain(Code(h)); !known {
			t.Errorf("docs/runbook.md explains %s, which is no code", h)
		}
		if slices.Contains(headings[:i], h) {
			t.Errorf("docs/runbook.md explains %s twice", h)
		}
	}
}

// TestEveryCodeConstantIsListed reads the constants from the source.
func TestEveryCodeConstantIsListed(t *testing.T) {
	t.Parallel()
	f, err := parser.ParseFile(token.NewFileSet(), "codes.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	ast.Inspect(f, func(x ast.Node) bool {
		spec, ok := x.(*ast.ValueSpec)
		if !ok || len(spec.Values) != 1 || !strings.HasPrefix(spec.Names[0].Name, "Code") {
			return true
		}
		lit, ok := spec.Values[0].(*ast.BasicLit)
		if !ok {
			return true
		}
		n++
		value, err := strconv.Unquote(lit.Value)
		if _, known := Explain(Code(value)); err != nil || !known {
			t.Errorf("%s is in no table of codes", spec.Names[0].Name)
		}
		return true
	})
	if all := Codes(); n == 0 || len(all) != n {
		t.Errorf("%d constants, %d documented codes", n, len(all))
	}
}

func TestCodes(t *testing.T) {
	t.Parallel()
	all := Codes()
	for i, c := range all {
		if i > 0 && all[i-1].Code >= c.Code {
			t.Errorf("%s is out of order or there twice", c.Code)
		}
		if c.Means == "" || c.Severity == "" {
			t.Errorf("%s is not documented", c.Code)
		}
	}
	if _, known := Explain("no-such-code"); known {
		t.Error("an unknown code is known")
	}
	if info, _ := Explain(CodeOnHold); info.hint(3) != "repool release 3" {
		t.Errorf("hint %q", info.hint(3))
	}
}
