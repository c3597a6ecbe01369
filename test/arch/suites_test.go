package arch

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var testFunction = regexp.MustCompile(`(?m)^func ((?:Test|Fuzz|Example)\w*)\(`)

// TestSuitesListEachTestOnce: scripts/tests.sh skips what test/suites.txt names in `make test` and runs it in
// `make test-all`, by name and across packages. So each test runs in exactly one of the two as long as a name in the
// list is that of one test of the module, and a package that is listed whole has nothing but tests.
func TestSuitesListEachTestOnce(t *testing.T) {
	t.Parallel()
	homes := map[string][]string{}     // test function → its packages
	functions := map[string][]string{} // package → its test functions
	for name, p := range packages(t) {
		files, err := filepath.Glob(filepath.Join(p.Dir, "*_test.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range testFunction.FindAllStringSubmatch(string(text), -1) {
				if m[1] != "TestMain" {
					homes[m[1]] = append(homes[m[1]], name)
					functions[name] = append(functions[name], m[1])
				}
			}
		}
	}
	list, err := os.ReadFile("../suites.txt")
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for line := range strings.Lines(string(list)) {
		entry := strings.Fields(line)
		if strings.HasPrefix(line, "#") {
			continue
		}
		if len(entry) != 2 || seen[line] || seen[entry[0]] {
			t.Errorf("%q: want a package and one of its tests, or a star, once", strings.TrimSpace(line))
			continue
		}
		dir, name := entry[0], entry[1]
		seen[line] = true
		isTest := func(f string) bool { return strings.HasPrefix(f, "Test") }
		switch own := functions[dir]; {
		case name != "*":
			if !slices.Equal(homes[name], []string{dir}) {
				t.Errorf("%s %s: a test of that name is in %q", dir, name, homes[name])
			}
		case len(own) == 0:
			t.Errorf("%s: it has no test", dir)
		case !slices.ContainsFunc(own, func(f string) bool { return !isTest(f) }):
			seen[dir] = true
		default:
			t.Errorf("%s: it has more than tests, and test-all runs tests only: %q", dir, own)
		}
	}
	if len(seen) < 10 {
		t.Errorf("the list has %d entries", len(seen))
	}
}
