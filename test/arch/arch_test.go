package arch

import (
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
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
	"internal/core/topology":     "internal/codes",
	"pcp":                        "",
	"internal/pgpool/pgpoolconf": "",
	"internal/exit":              "",
	"internal/layout":            "",
	"internal/codes":             "",
	"internal/node/postgres":     "internal/core/topology",
	"internal/terminal":          "internal/exit",
	"internal/admin/certs":       "",
	"packaging":                  "", // files that are installed as they are
	// Facts on disk, and the contract with the agent.
	"internal/node/process":   "",
	"internal/node/pgdata":    "internal/core/topology internal/node/process",
	"internal/node/journal":   "internal/core/topology",
	"internal/show/event":     "internal/core/topology",
	"internal/show/history":   "internal/codes internal/core/topology internal/show/event",
	"internal/node/agentapi":  "internal/codes internal/core/topology",
	"test/fakes/virtual":      "",
	"test/fakes/fakewal":      "internal/core/topology",                                       // only tests
	"test/fakes/agentapitest": "internal/codes internal/core/topology internal/node/agentapi", // only tests
	// Deciding and looking.
	"internal/core/plan":    "internal/codes internal/core/topology",
	"internal/core/observe": "internal/core/topology pcp internal/node/agentapi internal/node/postgres",
	"internal/config": "internal/core/topology internal/layout pcp internal/pgpool/pgpoolconf internal/core/plan " +
		"internal/node/postgres",
	// Doing, on the node.
	"internal/node/vault":  "internal/core/topology internal/node/pgdata",
	"internal/node/resync": "internal/codes internal/core/topology internal/node/journal",
	// only tests
	"test/fakes/fakehost": "internal/codes internal/core/topology internal/node/agentapi internal/node/resync",
	"internal/node/dbhost": "internal/codes internal/core/topology internal/layout internal/node/process " +
		"internal/node/pgdata " +
		"internal/node/journal " +
		"internal/node/vault internal/node/resync internal/node/agentapi internal/node/postgres",
	"internal/node/bootgate": "internal/core/topology",
	"internal/node/agent": "internal/codes internal/core/topology internal/node/journal internal/node/resync " +
		"internal/node/agentapi " +
		"internal/node/postgres",
	// Doing, beside Pgpool-II.
	"internal/show/control": "internal/codes internal/core/topology internal/core/plan internal/show/event internal/exit",
	"internal/core/controller": "internal/codes internal/core/topology pcp internal/core/plan internal/show/event " +
		"internal/node/agentapi internal/show/control",
	"internal/pgpool/hook": "internal/codes internal/core/topology internal/node/agentapi internal/config internal/exit " +
		"internal/node/postgres",
	"internal/admin/check": "internal/core/topology internal/layout internal/admin/certs pcp internal/node/vault " +
		"internal/node/pgdata internal/pgpool/pgpoolconf internal/config internal/show/control internal/pgpool/hook " +
		"internal/node/postgres internal/node/dbhost",
	"internal/admin/setup": "internal/core/topology internal/layout pcp internal/node/pgdata internal/pgpool/pgpoolconf " +
		"internal/config internal/pgpool/hook internal/admin/check packaging internal/node/postgres internal/exit",
	// Telling of it.
	"internal/show/metrics": "internal/core/topology internal/core/plan internal/show/event internal/show/control",
	"internal/show/notify": "internal/codes internal/core/topology internal/core/plan internal/show/event " +
		"internal/show/control",
	"internal/show/trace": "internal/core/topology internal/show/event internal/show/control",
	"packaging/dashboard": "", // the program does not import it
	"internal/show/view": "internal/codes internal/core/topology internal/core/plan internal/show/event " +
		"internal/show/control",
	"internal/show/web":      "internal/show/control",
	"internal/show/web/page": "internal/core/topology internal/show/event internal/show/control internal/show/view",
	"test/fakes/browsertest": "", // only tests
	// A real pool to try it on.
	"lab":         "internal/core/topology internal/layout internal/node/process internal/admin/certs pcp",
	"lab/promise": "",
	"lab/proof":   "internal/core/topology lab internal/node/vault",
	"lab/demo":    "internal/core/topology internal/show/event internal/show/control lab lab/proof",
	"lab/chaos": "internal/codes internal/core/topology internal/show/event internal/show/control internal/core/plan " +
		"lab lab/proof lab/promise",
	"lab/bench": "pcp internal/show/event internal/show/control lab internal/node/pgdata internal/node/process",
	// A simulated one around the real parts; nothing imports it.
	"test/sim": "internal/codes test/fakes/virtual " +
		"internal/core/topology internal/show/event internal/node/journal internal/core/plan " +
		"internal/node/resync internal/node/agentapi internal/node/agent internal/core/observe " +
		// only tests
		"internal/show/control internal/core/controller internal/config internal/pgpool/hook test/fakes/fakehost lab/promise",
	// Wiring, and the command line over it: cli parses and prints.
	"internal/app": "internal/core/topology internal/core/plan internal/core/observe internal/core/controller " +
		"internal/node/postgres " +
		"internal/config internal/exit internal/admin/certs internal/admin/check internal/pgpool/pgpoolconf " +
		"internal/pgpool/hook " +
		"internal/node/agent internal/node/agentapi internal/node/bootgate internal/node/dbhost internal/node/process " +
		"internal/node/resync " +
		"internal/show/control internal/show/history internal/show/metrics internal/show/notify internal/show/trace " +
		"internal/show/web internal/show/web/page",
	"internal/cli": "internal/codes internal/app internal/config internal/exit internal/layout internal/terminal " +
		"internal/core/topology " +
		"internal/core/plan " +
		"internal/admin/certs internal/admin/check internal/admin/setup internal/pgpool/hook " +
		"internal/show/control internal/show/event internal/show/history internal/show/view",
	"cmd/repool": "internal/cli",
	// The second program.
	"lab/command":    "internal/exit internal/terminal lab lab/demo lab/chaos lab/bench",
	"cmd/repool-lab": "lab/command",
	// Building the packages.
	"packaging/generate":  "internal/app internal/cli lab/command",
	"packaging/install":   "",
	"test/packages":       "",
	"test/fakes/helptest": "internal/exit internal/terminal", // only tests
	"test/arch":           "",
	"test/scenarios":      "",
	"test/upstream":       "",
	"test/crashpoints":    "",
	"test/hosts":          "",
	"test/cli":            "",
	// only tests
	"test/testpool": "internal/codes internal/core/topology " +
		"internal/show/event internal/show/control internal/core/plan lab",
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
	all := packages(t)
	for name, p := range all {
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
		for _, permitted := range strings.Fields(allowed) {
			if !slices.Contains(p.Imports, module+permitted) {
				t.Errorf("%s may import %s and does not: take the permission away", name, permitted)
			}
		}
	}
	for name := range may {
		if _, exists := all[name]; !exists {
			t.Errorf("the table names %s, which is not a package", name)
		}
	}
}

// TestTheGuideListsEveryPackage: docs/architecture.md has one row for each
// package, and none for a package that is gone.
func TestTheGuideListsEveryPackage(t *testing.T) {
	t.Parallel()
	b, err := os.ReadFile("../../docs/architecture.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := map[string]int{}
	for _, m := range regexp.MustCompile("(?m)^\\| `([a-z/0-9-]+)` \\|").FindAllStringSubmatch(string(b), -1) {
		rows[m[1]]++
	}
	all := packages(t)
	for name := range all {
		if rows[name] != 1 {
			t.Errorf("docs/architecture.md has %d rows for %s", rows[name], name)
		}
	}
	for name := range rows {
		if _, exists := all[name]; !exists {
			t.Errorf("docs/architecture.md describes %s, which is not a package", name)
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
	pure      = []string{"internal/core/plan", "internal/core/topology", "internal/show/view"}
	forbidden = []string{"context", "os", "net", "log", "log/slog", "math/rand", "math/rand/v2", "crypto/rand", "sync",
		"syscall", "io/fs", "os/exec", "net/http"}
	clocks = []string{"Now", "Since", "Until", "After", "AfterFunc", "Sleep", "Tick", "NewTimer", "NewTicker"}
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
		if len(p.GoFiles) == 0 || strings.HasPrefix(name, "cmd/") {
			continue
		}
		lines := 0
		for _, file := range p.GoFiles {
			f, err := parser.ParseFile(token.NewFileSet(), filepath.Join(p.Dir, file), nil,
				parser.ParseComments|parser.PackageClauseOnly)
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

// TestProgramHoldsNoTools: the program that runs beside people's data cannot
// build pools, break them or pretend to be one.
func TestProgramHoldsNoTools(t *testing.T) {
	t.Parallel()
	deps := func(program string) []string {
		cmd := exec.CommandContext(t.Context(), "go", "list", "-deps", "./cmd/"+program)
		cmd.Dir = "../.."
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("go list -deps: %v", err)
		}
		var ours []string
		for _, name := range strings.Fields(string(out)) {
			if name, is := strings.CutPrefix(name, module); is {
				ours = append(ours, name)
			}
		}
		return ours
	}
	tool := func(name string) bool {
		top, _, _ := strings.Cut(name, "/")
		return top == "lab" || top == "test"
	}
	for _, name := range deps("repool") {
		if tool(name) {
			t.Errorf("cmd/repool contains %s", name)
		}
	}
	if !slices.ContainsFunc(deps("repool-lab"), tool) {
		t.Error("cmd/repool-lab contains no tool: the test looks in the wrong place")
	}
}
