package plan

import (
	"go/parser"
	"go/token"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// allowed is all that the planner may import: it is pure. No context, os, net,
// log/slog, math/rand; and of time only the types, see TestNoClock.
var allowed = []string{"fmt", "maps", "math", "slices", "sort", "strconv", "strings", "time", "errors",
	"github.com/repool/repool/internal/codes", "github.com/repool/repool/internal/core/topology"}

func TestImports(t *testing.T) {
	t.Parallel()
	for _, name := range sources(t) {
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		for _, imp := range f.Imports {
			path, err := strconv.Unquote(imp.Path.Value)
			if err != nil || !slices.Contains(allowed, path) {
				t.Errorf("%s imports %s: the planner is pure", name, imp.Path.Value)
			}
		}
	}
}

func TestNoClock(t *testing.T) {
	t.Parallel()
	for _, name := range sources(t) {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, call := range []string{"time.Now", "time.Since", "time.Until", "time.After", "time.Sleep", "time.NewTimer",
			"time.Tick", "go func"} {
			if strings.Contains(string(b), call) {
				t.Errorf("%s uses %s: time comes in as now", name, call)
			}
		}
	}
}

func sources(t *testing.T) []string {
	t.Helper()
	entries, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, e := range entries {
		if n := e.Name(); strings.HasSuffix(n, ".go") && !strings.HasSuffix(n, "_test.go") {
			out = append(out, n)
		}
	}
	return out
}
