package cli

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/repool/repool/internal/core/plan"
	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/show/event"
	"github.com/repool/repool/internal/show/view"
	"github.com/repool/repool/internal/terminal"
)

func TestPicture(t *testing.T) {
	t.Parallel()
	st := threeNodes()
	st.Snapshot.Nodes[1].Agent.Run.Steps[0].Started = noon.Add(-20 * time.Second)
	past := view.Past{Events: []event.Event{{At: time.Date(2026, 5, 1, 11, 59, 0, 0, time.Local), Node: 1, Kind: "run",
		Code: "started", Text: "base-backup from node 0 started"}}}
	v := view.Of(st, past, noon)
	golden(t, "picture", strings.Join(picture(v, lines, false), "\n")+"\n")
	plainText := strings.Join(picture(v, ascii, false), "\n")
	for _, r := range plainText {
		if r > 126 {
			t.Fatalf("%q in a picture for a terminal without it:\n%s", r, plainText)
		}
	}
	for env, want := range map[string]string{"de_DE.UTF-8": "├────", "C": "+----", "": "+----",
		"C.utf8": "├────"} {
		if got := glyphsFor(func(name string) string {
			if name == "LANG" {
				return env
			}
			return ""
		}); got.branch != want {
			t.Errorf("%q: %s", env, got.branch)
		}
	}
}

func TestFrameFitsTheTerminal(t *testing.T) {
	t.Parallel()
	text := []string{terminal.Red + "größer als" + terminal.Plain + " breit", "two", "three", "four"}
	first := frameOf(text, 6, 3, true)
	if !strings.HasPrefix(first, "\x1b[?1049h\x1b[?25l") || strings.Contains(frameOf(text, 6, 3, false), "1049") {
		t.Errorf("the other screen: %q", first)
	}
	got := frameOf(text, 6, 3, false)
	want := "\x1b[?2026h\x1b[H" + terminal.Red + "größer" + terminal.Plain + "\x1b[K\r\ntwo\x1b[K\r\n… 2 mo" +
		terminal.Plain + "\x1b[K\x1b[J\x1b[?2026l"
	if got != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	if strings.Contains(got, "\x1b[2J") {
		t.Error("clearing the screen flickers")
	}
}

// TestScreenIsLeftAsItWas: the terminal's own screen and cursor come back, with
// the last picture on it; a terminal that gets narrower is followed.
func TestScreenIsLeftAsItWas(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	width := 80
	s := &screen{w: &b, size: func() (int, int, error) { return width, 24, nil }}
	for range 2 {
		if err := s.draw([]string{"a pool", "of nodes"}); err != nil {
			t.Fatal(err)
		}
		width = 3
	}
	s.close()
	got := b.String()
	if strings.Count(got, "\x1b[?1049h") != 1 || !strings.HasSuffix(got, "\x1b[?1049l\x1b[?25ha pool\nof nodes\n") ||
		!strings.Contains(got, "\x1b[Ha p"+terminal.Plain) {
		t.Errorf("%q", got)
	}
}

func TestPlainWatchSaysOnlyWhatHasChanged(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	told := ""
	for _, text := range []string{"one", "one", "two"} {
		var err error
		if told, err = show(&b, nil, []string{text}, told); err != nil {
			t.Fatal(err)
		}
	}
	if b.String() != "one\n\ntwo\n\n" {
		t.Errorf("%q", b.String())
	}
}

func TestBarFillsTheLine(t *testing.T) {
	t.Parallel()
	r := *threeNodes().Snapshot.Nodes[1].Agent.Run
	r.Steps = []topology.StepRun{{Name: "copy", Started: noon.Add(-10 * time.Second)}}
	for _, width := range []int{79, 120} {
		got := runBarFor(r, noon, width)
		if n := len([]rune(got)); n > width || n < width-6 {
			t.Errorf("%d characters of %d: %s", n, width, got)
		}
		for _, part := range []string{"node 1: base-backup", "1.00 GiB / 4.00 GiB", "25%", "102 MiB/s", "30 s left", "█",
			"░"} {
			if !strings.Contains(got, part) {
				t.Errorf("no %q in %s", part, got)
			}
		}
	}
	r.BytesDone = r.BytesTotal
	if got := runBarFor(r, noon, 79); got != "" {
		t.Errorf("when all have come: %s", got)
	}
}

func TestWhen(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]time.Time{
		"": {}, "90m": noon.Add(-90 * time.Minute), "2026-04-30": time.Date(2026, 4, 30, 0, 0, 0, 0, time.Local),
		"2026-04-30 20:15": time.Date(2026, 4, 30, 20, 15, 0, 0, time.Local), "2026-04-30T20:15:30Z": time.Date(2026, 4, 30,
			20, 15, 30, 0, time.UTC),
	} {
		if got, err := parseWhen("--since", text, noon); err != nil || !got.Equal(want) {
			t.Errorf("%q: %s, %v", text, got, err)
		}
	}
	for _, bad := range []string{"-1h", "yesterday", "2026-13-01"} {
		if _, err := parseWhen("--since", bad, noon); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}

func TestRenderStory(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 5, 1, 12, 0, 0, 0, time.Local)
	asJSON := func(v any) json.RawMessage {
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	done := topology.RunState{ID: "r1", Node: 1, Method: topology.MethodRewind, Outcome: topology.RunDone,
		BytesDone: 53 << 20,
		Vault:     &topology.VaultEntry{ID: "v1", Node: 1, Path: "/v/v1", Commits: 25, Complete: true},
		Steps: []topology.StepRun{{Name: "vault", Started: at, Ended: at.Add(1900 * time.Millisecond),
			Note: "25 lost commits"}, {Name: "rewind", Started: at, Ended: at.Add(4 * time.Second)}}}
	events := []event.Event{
		{At: at, Node: 1, Kind: "decision", Code: "diverged", Text: "node 1 holds WAL of its own",
			Data: asJSON(plan.Decision{Evidence: []string{"PostgreSQL: connection refused"},
				Rejected: []plan.Rejection{{Method: topology.MethodAdopt,
					Why: "lost commits"}}, Estimate: plan.Estimate{Bytes: 53 << 20, Seconds: 3.1}})},
		{At: at.Add(time.Second), Node: 1, Kind: "run", Code: "started", Run: "r1", Text: "rewind from node 0 started"},
		{At: at.Add(12 * time.Second), Node: 1, Kind: "run", Code: "done", Run: "r1", Text: "rewind done",
			Data: asJSON(done)},
		{At: at.Add(13 * time.Second), Node: 1, Kind: "attach", Code: "ready", Text: "attach requested from pg:9898"},
		{At: at.Add(14 * time.Second), Node: 1, Kind: "decision", Code: "healthy",
			Text: "node 1 streams from node 0 and is attached"},
	}
	s, err := view.Tell(events, "r1")
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := renderStory(&b, s, false); err != nil {
		t.Fatal(err)
	}
	golden(t, "story", b.String())
}
