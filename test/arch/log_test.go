package arch

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode"
)

// logKeys are the keys of the log, each with one meaning everywhere: a person
// who searches for run=… or code=… finds all there is.
var logKeys = strings.Fields(`node nodes run step code method outcome action err reason text
	pool kind took busy bytes version socket listen mode program pid output damaged was_running
	event id receiver again trace who from page path limit slots`)

var logCalls = map[string]int{"Debug": 0, "Info": 0, "Warn": 0, "Error": 0}

// TestLogSpeaksOneLanguage: messages are constant, begin in lower case, and
// everything that varies stands under a known key.
func TestLogSpeaksOneLanguage(t *testing.T) {
	t.Parallel()
	seen := 0
	for name, p := range packages(t) {
		for _, file := range p.GoFiles {
			fset := token.NewFileSet()
			f, err := parser.ParseFile(fset, filepath.Join(p.Dir, file), nil, parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			ast.Inspect(f, func(n ast.Node) bool {
				call, ok := n.(*ast.CallExpr)
				if !ok || !isLog(call) {
					return true
				}
				seen++
				if bad := wrongLog(call); bad != "" {
					t.Errorf("%s/%s:%d: %s", name, file, fset.Position(call.Pos()).Line, bad)
				}
				return true
			})
		}
	}
	if seen < 40 {
		t.Errorf("%d log calls found: the test looks in the wrong place", seen)
	}
}

// isLog says whether a call is x.Log.Info(…), log.Info(…) and the like.
func isLog(call *ast.CallExpr) bool {
	sel, ok := call.Fun.(*ast.SelectorExpr)
	if !ok || len(call.Args) == 0 {
		return false
	}
	if _, level := logCalls[sel.Sel.Name]; !level {
		return false
	}
	switch x := sel.X.(type) {
	case *ast.Ident:
		return strings.EqualFold(x.Name, "log")
	case *ast.SelectorExpr:
		return strings.EqualFold(x.Sel.Name, "log")
	}
	return false
}

// wrongLog says what is wrong with a call, if anything.
func wrongLog(call *ast.CallExpr) string {
	if msg, ok := literal(call.Args[0]); ok {
		if first := []rune(msg); unicode.IsUpper(first[0]) && !strings.HasPrefix(msg, "Pgpool") {
			return "the message " + strconv.Quote(msg) + " begins in upper case"
		}
	}
	for i := 1; i < len(call.Args); i += 2 {
		if call.Ellipsis.IsValid() && i == len(call.Args)-1 {
			return ""
		}
		key, ok := literal(call.Args[i])
		if !ok || !slices.Contains(logKeys, key) {
			return "the key " + strconv.Quote(key) + " is none of logKeys"
		}
	}
	return ""
}

func literal(e ast.Expr) (string, bool) {
	lit, ok := e.(*ast.BasicLit)
	if !ok || lit.Kind != token.STRING {
		return "", false
	}
	s, err := strconv.Unquote(lit.Value)
	return s, err == nil && s != ""
}
