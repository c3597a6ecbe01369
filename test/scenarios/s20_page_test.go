package scenarios

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/repool/repool/internal/codes"
	"github.com/repool/repool/lab"
	"github.com/repool/repool/test/fakes/browsertest"
	"github.com/repool/repool/test/testpool"
)

var shots = flag.String("shots", "", "write screenshots of the page to this directory")

// onlooker notes each headline, decision and progress that the page has shown,
// without looking away: a phase may last less than a question takes.
const onlooker = `(() => { window.shown = []; const note = () => {
	const now = document.querySelector("h1").innerText + " | " +
		[...document.querySelectorAll(".work")].map(w =>
			w.querySelector("h3").innerText + (w.querySelector("progress") ? " with progress" : "")).join(" | ");
	if (window.shown.at(-1) !== now) window.shown.push(now); };
	note(); new MutationObserver(note).observe(document.getElementById("main"),
		{subtree: true, childList: true, characterData: true, attributes: true}); return ""; })()`

// S20: a person watches the page while the primary dies with commits that no
// standby has. It shows each phase by itself, in a real browser and without a
// reload; afterwards the history tells it as one story (P8).
func TestS20PageThroughAFailover(t *testing.T) {
	p := up(t, lab.Options{Standbys: 2, Web: true})
	b := browsertest.Open(t)
	b.Look(1180, 900, false)
	b.Go("http://" + p.WebAddr + "/")
	b.Until(`document.getElementById("live").dataset.state === "live"`)
	b.Until(`document.querySelector("h1").innerText === "All 3 nodes are attached and healthy"`)
	b.Text(onlooker)
	shot := func(name string) {
		if *shots != "" {
			b.Shot(filepath.Join(*shots, name+".png"), true)
		}
	}
	shot("live-1-healthy")
	since := time.Now()
	old := p.Primary()
	lost, err := p.Diverge(p.Ctx, old, 25)
	p.Must(err)
	caught := p.Catch(testpool.Copying, p.RewindOf(old)...) // it would be over before a browser has drawn it
	p.Must(p.KillNode(p.Ctx, old))
	resume := caught()
	b.Until(fmt.Sprintf(`document.getElementById("work-%d")`, old))
	b.Until(`document.querySelector(".work progress")`)
	b.Until(`document.querySelector("h1").innerText === "2 of 3 nodes are attached"`) // the other standby follows
	shot("live-3-resync")
	resume()
	b.Until(`document.querySelector("h1").innerText === "All 3 nodes are attached and healthy"`)
	p.Whole("failover", since)
	b.Until(`document.getElementById("s-vault").innerText.includes("lost commits of node")`)
	shot("live-4-healed")
	shown := b.Text(`window.shown.join("\n")`)
	for _, want := range []string{"2 of 3 nodes are attached", fmt.Sprintf("Node %d", old), "with progress"} {
		if !strings.Contains(shown, want) {
			t.Errorf("the page never showed %q; it showed\n%s", want, shown)
		}
	}
	if n := len(lost); !strings.Contains(b.Text(`document.getElementById("s-alarms").innerText`),
		"lost commits, kept in the vault of node") || n == 0 {
		t.Errorf("%d lost commits raise no alarm", n)
	}
	b.Go(strings.TrimSpace(b.Text(`document.querySelector(".vault a").href`)))
	b.Until(`document.querySelector(".story h1").innerText.includes("healed") && document.querySelector(".steps li")`)
	shot("live-5-story")
	b.Silent()
	tellsTheStory(t, p, old)
}

// tellsTheStory asserts what the history tells of the newest run of a node.
func tellsTheStory(t *testing.T, p *pool, node int) {
	t.Helper()
	runs := p.Runs(node, time.Time{})
	if len(runs) == 0 {
		t.Fatal("no runs")
	}
	ctx, cancel := context.WithTimeout(p.Ctx, testpool.Patience)
	defer cancel()
	out, err := p.Repool(ctx, "history", "show", runs[len(runs)-1].ID, "--json", "--config", p.RepoolConf())
	p.Must(err)
	var s struct {
		Ending string `json:"ending"`
		Lost   int    `json:"lost_commits"`
		Parts  []struct {
			Kind, Code string
			Evidence   []string
			Steps      []struct{ Name string }
		} `json:"parts"`
	}
	p.Must(json.Unmarshal([]byte(out), &s))
	has := map[string]bool{}
	for _, part := range s.Parts {
		has[part.Kind+" "+part.Code] = true
		has["evidence"] = has["evidence"] || len(part.Evidence) > 0
		has["steps"] = has["steps"] || len(part.Steps) > 5
	}
	for _, want := range []string{"decision " + string(codes.Diverged), "run started", "run done", "attach ready",
		"decision " + string(codes.Healthy), "evidence", "steps"} {
		if !has[want] {
			t.Errorf("the story lacks %q: %v", want, has)
		}
	}
	if s.Ending != "healed" || s.Lost < 25 {
		t.Errorf("it ended %q with %d lost commits", s.Ending, s.Lost)
	}
}
