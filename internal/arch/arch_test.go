package arch

import (
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/repool/repool/"

// may is what each package may import of ours, from the leaves to the top.
// Nothing may import what has "only tests" beside it.
var may = map[string]string{
	// Words, files and protocols. They know nothing of repool.
	"internal/topology":   "",
	"pcp":                 "",
	"internal/pgpoolconf": "",
	"internal/exit":       "",
	"internal/sqlconn":    "",
	"internal/certs":      "",
	"packaging":           "", // files that are installed as they are
	// Facts on disk, and the contract with the agent.
	"internal/pgdata":                          "internal/topology",
	"internal/journal":                         "internal/topology",
	"internal/event":                           "internal/topology",
	"internal/history":                         "internal/topology internal/event",
	"internal/agentapi/agentv1":                "",
	"internal/agentapi/agentv1/agentv1connect": "internal/agentapi/agentv1",
	"internal/agentapi":                        "internal/topology internal/agentapi/agentv1 internal/agentapi/agentv1/agentv1connect",
	"internal/agentapi/agentapitest":           "internal/topology internal/agentapi", // only tests
	// Deciding and looking.
	"internal/plan":    "internal/topology",
	"internal/observe": "internal/topology pcp internal/agentapi",
	"internal/config":  "internal/topology pcp internal/pgpoolconf internal/plan internal/exit",
	// Doing, on the node.
	"internal/vault":             "internal/topology internal/pgdata",
	"internal/resync":            "internal/topology internal/journal internal/exit",
	"internal/resync/resynctest": "internal/topology internal/resync internal/journal", // only tests
	"internal/dbhost":            "internal/sqlconn internal/topology internal/pgdata internal/journal internal/vault internal/resync internal/agentapi",
	"internal/bootgate":          "internal/topology",
	"internal/agent":             "internal/sqlconn internal/topology internal/journal internal/resync internal/agentapi",
	// Doing, beside Pgpool-II.
	"internal/control":    "internal/topology internal/plan internal/event internal/exit",
	"internal/controller": "internal/topology pcp internal/plan internal/event internal/agentapi internal/control",
	"internal/hook":       "internal/topology internal/agentapi internal/config internal/exit internal/pgpoolconf",
	"internal/check":      "internal/topology internal/certs pcp internal/vault internal/pgdata internal/pgpoolconf internal/config internal/control internal/hook internal/exit",
	"internal/setup":      "internal/topology pcp internal/pgdata internal/pgpoolconf internal/config internal/hook internal/check internal/exit packaging",
	// Telling of it.
	"internal/metrics":         "internal/topology internal/plan internal/history internal/control",
	"internal/notify":          "internal/topology internal/plan internal/history internal/control",
	"internal/trace":           "internal/topology internal/history internal/control",
	"internal/dashboard":       "", // the program does not import it
	"internal/view":            "internal/topology internal/plan internal/history internal/control",
	"internal/web":             "internal/topology internal/plan internal/history internal/control",
	"internal/web/page":        "internal/topology internal/history internal/control internal/view",
	"internal/web/browsertest": "", // only tests
	// A real pool to try it on.
	"internal/lab":   "internal/topology internal/certs pcp",
	"internal/proof": "internal/topology internal/lab internal/vault",
	"internal/demo":  "internal/topology internal/history internal/control internal/plan internal/lab internal/proof internal/exit",
	"internal/chaos": "internal/topology internal/history internal/control internal/plan internal/lab internal/proof",
	"internal/bench": "pcp internal/topology internal/history internal/control internal/plan internal/lab internal/pgdata internal/exit",
	// A simulated one around the real parts; nothing imports it.
	"internal/sim": "internal/topology internal/event internal/journal internal/plan internal/resync internal/agentapi internal/agent internal/observe " +
		"internal/control internal/controller internal/config internal/hook", // only tests
	// Wiring. cli is imported by the program alone.
	"internal/cli": "pcp internal/topology internal/pgpoolconf internal/exit internal/pgdata internal/journal internal/history internal/agentapi internal/plan internal/observe " +
		"internal/config internal/certs internal/vault internal/resync internal/dbhost internal/agent internal/bootgate internal/control internal/controller internal/hook internal/check internal/setup internal/view internal/web internal/web/page internal/metrics internal/notify internal/trace internal/lab internal/demo internal/chaos internal/bench",
	"cmd/repool":       "internal/cli internal/hook",
	"internal/arch":    "",
	"test/scenarios":   "",
	"test/upstream":    "",
	"test/crashpoints": "",
	"test/hosts":       "",
	"test/cli":         "",
	"test/chaos":       "",
	"test/testpool":    "internal/topology internal/history internal/control internal/plan internal/lab", // only tests
}

type listed struct {
	ImportPath string
	Dir        string
	GoFiles    []string
	Imports    []string
}

// packages is what `go list` says of the whole module.
func packages(t *testing.T) map[string]listed {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "list", "-e", "-json=ImportPath,Dir,GoFiles,Imports", "./...")
	cmd.Dir = "../.."
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	all := map[string]listed{}
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p listed
		err := dec.Decode(&p)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		all[strings.TrimPrefix(p.ImportPath, module)] = p
	}
	if len(all) < 10 {
		t.Fatalf("go list names %d packages", len(all))
	}
	return all
}

func TestImportsPointOneWay(t *testing.T) {
	t.Parallel()
	for name, p := range packages(t) {
		allowed, known := may[name]
		if !known {
			t.Errorf("%s is in no layer: give it one in %s", name, "arch_test.go")
			continue
		}
		for _, imp := range p.Imports {
			ours, is := strings.CutPrefix(imp, module)
			if is && !slices.Contains(strings.Fields(allowed), ours) {
				t.Errorf("%s imports %s", name, ours)
			}
		}
	}
}

// TestLayersHaveNoCycle: the table itself allows no import both ways, however
// far around.
func TestLayersHaveNoCycle(t *testing.T) {
	t.Parallel()
	done := map[string]bool{}
	var walk func(name string, path []string)
	walk = func(name string, path []string) {
		if slices.Contains(path, name) {
			t.Errorf("the table allows a cycle: %s", strings.Join(append(path, name), " → "))
			return
		}
		if done[name] {
			return
		}
		for _, below := range strings.Fields(may[name]) {
			if _, known := may[below]; !known {
				t.Errorf("%s may import %s, which is in no layer", name, below)
			}
			walk(below, append(path, name))
		}
		done[name] = true
	}
	for name := range may {
		walk(name, nil)
	}
}

// The pure packages decide from what they are given: same arguments, same
// result, whenever and wherever.
var (
	pure      = []string{"internal/plan", "internal/topology", "internal/view"}
	forbidden = []string{"context", "os", "net", "log", "log/slog", "math/rand", "math/rand/v2", "crypto/rand", "sync", "syscall", "io/fs", "os/exec", "net/http"}
	clocks    = []string{"Now", "Since", "Until", "After", "AfterFunc", "Sleep", "Tick", "NewTimer", "NewTicker"}
)

func TestPurePackagesTouchNothing(t *testing.T) {
	t.Parallel()
	all := packages(t)
	for _, name := range pure {
		p := all[name]
		for _, imp := range p.Imports {
			if slices.Contains(forbidden, imp) {
				t.Errorf("%s imports %s", name, imp)
			}
		}
		for _, file := range p.GoFiles {
			checkPure(t, filepath.Join(p.Dir, file))
		}
	}
}

// checkPure looks for clocks, goroutines and channels in one file.
func checkPure(t *testing.T, path string) {
	t.Helper()
	fset := token.NewFileSet()
	f, err := parser.ParseFile(fset, path, nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	at := func(n ast.Node) string {
		pos := fset.Position(n.Pos())
		return filepath.Base(filepath.Dir(path)) + "/" + filepath.Base(path) + ":" + strconv.Itoa(pos.Line)
	}
	ast.Inspect(f, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.GoStmt:
			t.Errorf("%s starts a goroutine", at(n))
		case *ast.ChanType:
			t.Errorf("%s has a channel", at(n))
		case *ast.SelectorExpr:
			if x, ok := n.X.(*ast.Ident); ok && x.Name == "time" && slices.Contains(clocks, n.Sel.Name) {
				t.Errorf("%s reads a clock: time.%s", at(n), n.Sel.Name)
			}
		}
		return true
	})
}

// TestEveryPackageSaysWhatItIs: reading the package comments alone explains the
// program.
func TestEveryPackageSaysWhatItIs(t *testing.T) {
	t.Parallel()
	for name, p := range packages(t) {
		if len(p.GoFiles) == 0 || strings.Contains(name, "agentv1") || strings.HasPrefix(name, "cmd/") {
			continue
		}
		lines := 0
		for _, file := range p.GoFiles {
			f, err := parser.ParseFile(token.NewFileSet(), filepath.Join(p.Dir, file), nil, parser.ParseComments|parser.PackageClauseOnly)
			if err != nil {
				t.Fatal(err)
			}
			lines += strings.Count(f.Doc.Text(), "\n")
		}
		if lines < 3 {
			t.Errorf("%s: its package comment has %d lines", name, lines)
		}
	}
}
