package pgpoolconf

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// noFiles stands for a disk without files to include.
func noFiles(string) (string, error) { return "", errors.New("no such file") }

func FuzzParse(f *testing.F) {
	for _, s := range situations {
		f.Add(s.text)
	}
	paths, _ := filepath.Glob("testdata/*/*.conf")
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(text))
	}
	f.Fuzz(func(t *testing.T, text string) {
		if got := parseSource("p.conf", text).text(); got != text {
			t.Fatalf("prints as %q, was %q", got, text)
		}
		file, err := parse("p.conf", text, noFiles)
		if err != nil {
			var syntax *SyntaxError
			if !errors.As(err, &syntax) || syntax.Line < 1 || syntax.Msg == "" {
				t.Fatalf("error without a place: %#v", err)
			}
			return
		}
		_, _ = file.Pool(Version{})
		_, _, _ = file.Unknown(Version{}), file.Rejected(Version{}), file.sources[0].text()
		for _, set := range file.settings {
			_ = Expand(set.Value, nil)
			_ = Placeholders(set.Value)
			_, _ = set.number("")
			_, _ = set.number("kB")
		}
	})
}

func FuzzEdit(f *testing.F) {
	for _, s := range situations {
		f.Add(s.text, "x", "a b")
		f.Add(s.text, "new", "5")
	}
	f.Add("x = 'a' # it's\n", "x", `a\`)
	f.Add("backend_weight01 = 1\n", "backend_weight1", "2")
	f.Fuzz(func(t *testing.T, text, name, value string) {
		file, err := parse("p.conf", text, noFiles)
		if err != nil {
			return
		}
		checkSet(t, file, name, value)
	})
}
