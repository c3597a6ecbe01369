package topology

import (
	"strings"
	"testing"
)

// hist builds a history from "1@0/5000000 2@0/7000000 3".
func hist(tb testing.TB, text string) History {
	tb.Helper()
	var h History
	for _, f := range strings.Fields(text) {
		tli, at, left := strings.Cut(f, "@")
		n := TimelineID(0)
		for _, c := range tli {
			n = n*10 + TimelineID(c-'0')
		}
		if !left {
			h.TLI = n
			return h
		}
		lsn, err := ParseLSN(at)
		if err != nil {
			tb.Fatal(err)
		}
		h.Ancestors = append(h.Ancestors, HistoryEntry{n, lsn})
	}
	tb.Fatalf("history %q has no own timeline", text)
	return h
}

func TestParseHistory(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		tli  TimelineID
		text string
		want string
		err  string
	}{
		"timeline 1 has no file":           {1, "", "1", ""},
		"one switch, as PostgreSQL has it": {2, "1\t0/5000000\tno recovery target specified\n", "1@0/5000000 2", ""},
		"comments and blank lines":         {3, "# made by hand\n\n1 0/5000000 x\n2\t1/0 y\n", "1@0/5000000 2@1/0 3", ""},
		"two switches at one place":        {3, "1 0/5000000\n2 0/5000000\n", "1@0/5000000 2@0/5000000 3", ""},
		"timeline 0":                       {0, "", "", "no such timeline"},
		"garbled number":                   {2, "one 0/5000000\n", "", "line 1"},
		"garbled position":                 {2, "1 5000000\n", "", "line 1"},
		"position missing":                 {2, "1\n", "", "want a timeline and a switch point"},
		"falling timelines":                {4, "2 0/5000000\n1 0/6000000\n", "", "line 2"},
		"falling positions":                {4, "1 0/6000000\n2 0/5000000\n", "", "line 2"},
		"an ancestor above its child":      {2, "3 0/5000000\n", "", "not below"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h, err := ParseHistory(tt.tli, tt.text)
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) {
					t.Fatalf("ParseHistory = %v, %v; want an error with %q", h, err, tt.err)
				}
				return
			}
			if err != nil || !h.Equal(hist(t, tt.want)) {
				t.Fatalf("ParseHistory = %v, %v; want %s", h, err, tt.want)
			}
		})
	}
}

func TestCommon(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		a, b       string
		tli        TimelineID
		until      string
		open, okay bool
	}{
		"both on timeline 1":                    {"1", "1", 1, "0/0", true, true},
		"a stayed, b was promoted":              {"1", "1@0/5000000 2", 1, "0/5000000", false, true},
		"a was promoted, b stayed":              {"1@0/5000000 2", "1", 1, "0/5000000", false, true},
		"two left timeline 1 apart":             {"1@0/5000000 2", "1@0/6000000 3", 1, "0/5000000", false, true},
		"two left timeline 1 at one place":      {"1@0/5000000 2", "1@0/5000000 3", 1, "0/5000000", false, true},
		"same numbers (hazard 1)":               {"1@0/5000000 2", "1@0/5000000 2", 2, "0/0", true, true},
		"timeline 2 begun at different places":  {"1@0/5000000 2", "1@0/6000000 2", 1, "0/5000000", false, true},
		"three deep":                            {"1@0/5000000 2@0/6000000 3", "1@0/5000000 2", 2, "0/6000000", false, true},
		"nothing shared":                        {"7", "1@0/5000000 2", 0, "0/0", false, false},
		"a line without its beginning, another": {"2", "1@0/5000000 2", 0, "0/0", false, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tli, until, open, ok := Common(hist(t, tt.a), hist(t, tt.b))
			if tli != tt.tli || until.String() != tt.until || open != tt.open || ok != tt.okay {
				t.Errorf("Common = %s until %s, open %v, ok %v", tli, until, open, ok)
			}
			tli2, until2, open2, ok2 := Common(hist(t, tt.b), hist(t, tt.a))
			if tli2 != tli || until2 != until || open2 != open || ok2 != ok {
				t.Errorf("Common is not symmetric: %s until %s, open %v, ok %v", tli2, until2, open2, ok2)
			}
		})
	}
	if _, _, _, ok := Common(History{}, hist(t, "1")); ok {
		t.Error("an unknown history has something in common")
	}
}

func TestDescends(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		h, o string
		want bool
	}{
		"a child":                             {"1@0/5000000 2", "1", true},
		"a grandchild":                        {"1@0/5000000 2@0/6000000 3", "1", true},
		"a parent":                            {"1", "1@0/5000000 2", false},
		"itself":                              {"1@0/5000000 2", "1@0/5000000 2", false},
		"same number from another place":      {"1@0/5000000 2", "1@0/6000000 2", false},
		"siblings":                            {"1@0/5000000 3", "1@0/5000000 2", false},
		"a child of a namesake":               {"1@0/5000000 2@0/7000000 3", "1@0/6000000 2", false},
		"a child of the right one":            {"1@0/5000000 2@0/7000000 3", "1@0/5000000 2", true},
		"unrelated":                           {"7@0/5000000 8", "1", false},
		"skips a timeline number, as allowed": {"1@0/5000000 5", "1", true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := hist(t, tt.h).Descends(hist(t, tt.o)); got != tt.want {
				t.Errorf("%s descends from %s: %v", tt.h, tt.o, got)
			}
		})
	}
	if (History{}).Descends(hist(t, "1")) || hist(t, "1").Descends(History{}) {
		t.Error("an unknown history proves a descent")
	}
}

func TestHistoryLookups(t *testing.T) {
	t.Parallel()
	h := hist(t, "1@0/5000000 2@0/7000000 3")
	if !h.Contains(1) || !h.Contains(3) || h.Contains(4) || (History{}).Contains(0) {
		t.Error("Contains")
	}
	if l, ok := h.SwitchPoint(2); !ok || l != 0x7000000 {
		t.Errorf("SwitchPoint(2) = %s, %v", l, ok)
	}
	if _, ok := h.SwitchPoint(3); ok {
		t.Error("its own timeline has a switch point")
	}
	if h.Begin(1) != 0 || h.Begin(2) != 0x5000000 || h.Begin(3) != 0x7000000 {
		t.Error("Begin")
	}
	for lsn, want := range map[LSN]TimelineID{0: 1, 0x4ffffff: 1, 0x5000000: 2, 0x6ffffff: 2, 0x7000000: 3} {
		if got := h.TimelineAt(lsn); got != want {
			t.Errorf("TimelineAt(%s) = %s, want %s", lsn, got, want)
		}
	}
	if h.Text() != "1@0/5000000 → 2@0/7000000 → 3" {
		t.Errorf("Text = %q", h.Text())
	}
	if h.Equal(hist(t, "1@0/5000000 2@0/7000001 3")) || (History{}).Equal(History{}) || !h.Equal(h) {
		t.Error("Equal")
	}
}

func FuzzParseHistory(f *testing.F) {
	f.Add(uint32(2), "1\t0/5000000\tno recovery target specified\n")
	f.Add(uint32(3), "1\t0/3000148\tno recovery target specified\n\n2\t0/5000000\tafter LSN 0/4FFFFFF\n")
	f.Add(uint32(1), "")
	f.Add(uint32(9), "# a comment\n8 FFFFFFFF/FFFFFFFF x")
	f.Fuzz(func(t *testing.T, tli uint32, text string) {
		h, err := ParseHistory(TimelineID(tli), text)
		if err != nil {
			if h.Known() {
				t.Fatalf("an error and a history: %v, %v", h, err)
			}
			return
		}
		if h.TLI != TimelineID(tli) || !h.Known() || !h.Sound() {
			t.Fatalf("history of %d parsed as %v", tli, h)
		}
		var again strings.Builder
		for i, e := range h.Ancestors {
			if e.TLI >= h.TLI || i > 0 && (e.TLI <= h.Ancestors[i-1].TLI || e.Switch < h.Ancestors[i-1].Switch) {
				t.Fatalf("ancestors out of order: %v", h)
			}
			again.WriteString(e.TLI.String() + "\t" + e.Switch.String() + "\n")
		}
		h2, err := ParseHistory(h.TLI, again.String())
		if err != nil || !h2.Equal(h) {
			t.Fatalf("round trip: %v, %v; was %v", h2, err, h)
		}
		if h.Descends(h) {
			t.Fatalf("%v descends from itself", h)
		}
	})
}
