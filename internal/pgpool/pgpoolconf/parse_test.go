package pgpoolconf

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// load writes a situation into a directory and loads it.
func (s situation) load(t testing.TB) (*File, error) {
	t.Helper()
	dir := t.TempDir()
	s.write(t, dir)
	f, err := Load(filepath.Join(dir, "main.conf"))
	if err != nil {
		err = errors.New(strings.ReplaceAll(err.Error(), dir+"/", ""))
	}
	return f, err
}

func (s situation) write(t testing.TB, dir string) {
	t.Helper()
	files := map[string]string{"main.conf": s.text}
	for name, text := range s.files {
		files[name] = text
	}
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func pairs(f *File) []string {
	var out []string
	for _, set := range f.settings {
		out = append(out, set.Name+"="+set.Value)
	}
	return out
}

func TestParse(t *testing.T) {
	t.Parallel()
	for _, s := range situations {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			f, err := s.load(t)
			if s.err != "" || err != nil {
				if err == nil || err.Error() != s.err {
					t.Fatalf("error is  %v\nwant      %s", err, s.err)
				}
				return
			}
			if diff := cmp.Diff(s.want, pairs(f)); diff != "" {
				t.Errorf("settings (-want +got):\n%s", diff)
			}
			if got := len(f.Rejected(Version{})) > 0; got != s.rejected {
				t.Errorf("rejected is %v, want %v: %v", got, s.rejected, f.Rejected(Version{}))
			}
			if got := f.sources[0].text(); got != s.text {
				t.Errorf("prints as %q, was %q", got, s.text)
			}
		})
	}
}

func TestSyntaxErrorTellsTheCause(t *testing.T) {
	t.Parallel()
	_, err := Parse("/nowhere/pgpool.conf", "include 'x.conf'\n")
	var syntax *SyntaxError
	if !errors.As(err, &syntax) || syntax.Line != 1 || syntax.File != "/nowhere/pgpool.conf" {
		t.Fatalf("error is %#v", err)
	}
	if !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v does not wrap fs.ErrNotExist", err)
	}
	if _, err := Load("/nowhere/pgpool.conf"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing main file: %v", err)
	}
}

func TestIncludeOfADirectory(t *testing.T) {
	t.Parallel()
	_, err := situation{text: "include 'd'\n", files: map[string]string{"d/x": ""}}.load(t)
	if err == nil || !strings.Contains(err.Error(), "main.conf:1: include 'd': read d: not a regular file") {
		t.Errorf("error is %v", err)
	}
}

func TestIncludesOfIncludesEnd(t *testing.T) {
	t.Parallel()
	// Ten files, each including the next ten times over.
	read := func(path string) (string, error) {
		next := string(path[len(path)-1] + 1)
		return strings.Repeat("include '/"+next+"'\n", 10), nil
	}
	_, err := parse("/a", strings.Repeat("include '/b'\n", 10), read)
	var syntax *SyntaxError
	if !errors.As(err, &syntax) {
		t.Errorf("error is %v", err)
	}
}

func TestZeroByte(t *testing.T) {
	t.Parallel()
	_, err := Parse("p.conf", "x = 1\n# \x00\n")
	if err == nil || err.Error() != "p.conf:2: zero byte in the text; is this a pgpool.conf?" {
		t.Errorf("error is %v", err)
	}
}

func TestPlaces(t *testing.T) {
	t.Parallel()
	f, err := situation{
		text:  "# c\nport = 1\n\ninclude 'b.conf' pcp_port 'x'",
		files: map[string]string{"b.conf": "\n\nport = '2'\n"},
	}.load(t)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, set := range f.settings {
		got = append(got, filepath.Base(set.File)+" "+string(rune('0'+set.Line))+" "+set.Name)
	}
	want := []string{"main.conf 2 port", "b.conf 3 port", "main.conf 4 pcp_port"}
	if !slices.Equal(got, want) {
		t.Errorf("places are %q, want %q", got, want)
	}
	if set, ok := f.Lookup("port"); !ok || set.Value != "2" || set.Line != 3 {
		t.Errorf("port is %+v", set)
	}
	if _, ok := f.Lookup("none"); ok {
		t.Error("found a setting that is not there")
	}
}

func TestOddSettings(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"x =\n":       "the value is missing: Pgpool-II takes the end of the line as the value",
		"x":           "the value is missing: Pgpool-II takes the end of the line as the value",
		"x = /tmp\n":  "Pgpool-II takes only the / as the value; put the value in quotes: x = '/…'",
		"x = 'tmp\n":  "Pgpool-II takes only the ' as the value; close the quote on the same line",
		"x = \"tmp\n": "Pgpool-II takes only the \" as the value; use single quotes",
		"x == y\n":    "Pgpool-II takes only the = as the value; write one = only",
		"y = 5 min\n": "the value is missing: Pgpool-II takes the end of the line as the value; the word follows the " +
			"value of y: quote both together",
	} {
		f, err := Parse("p.conf", text)
		if err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		if got := odd(f); len(got) == 0 || got[0].Odd != want {
			t.Errorf("%q: got %+v\nwant %s", text, got, want)
		}
	}
}

// anyText draws texts that look like a configuration, more or less.
func anyText(t *rapid.T) string {
	piece := rapid.SampledFrom([]string{
		"x", "y_1", "port", "include", " ", "  ", "\t", "\n", "\n", "=", "'a'", "''", "'a\\'b'", "'", "\\", `"`,
		"#", "# c\n", "5", "5min", "-3", "0x1F", "1.5", ".5e3", "1e5", "a.b", "h-1:2/3", "/", "|", "é", "\r\n",
	})
	return strings.Join(rapid.SliceOfN(piece, 0, 30).Draw(t, "pieces"), "")
}

func TestPrintGivesTheSameBytes(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.OneOf(rapid.Custom(anyText), rapid.String()).Draw(t, "text")
		if got := parseSource("p.conf", text).text(); got != text {
			t.Fatalf("prints as %q, was %q", got, text)
		}
	})
}

func TestWrittenSettingsReadBack(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var text strings.Builder
		var want []string
		for range rapid.IntRange(0, 10).Draw(t, "settings") {
			name := rapid.StringMatching(`[a-z_]{1,3}[0-9]?`).Draw(t, "name")
			value := rapid.StringMatching(`[^'\\\n\x00]{0,8}`).Draw(t, "value")
			text.WriteString(rapid.SampledFrom([]string{"", "\t", "\n\n", "# it's\n", "#\n"}).Draw(t, "before"))
			text.WriteString(name + rapid.SampledFrom([]string{"=", " = ", "\t", "= "}).Draw(t, "equals"))
			text.WriteString("'" + value + "'")
			text.WriteString(rapid.SampledFrom([]string{"\n", " ", " # a = 'b'\n", "\r\n"}).Draw(t, "after"))
			want = append(want, name+"="+value)
		}
		f, err := Parse("p.conf", text.String())
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, pairs(f)); diff != "" {
			t.Fatalf("%q (-want +got):\n%s", text.String(), diff)
		}
	})
}
