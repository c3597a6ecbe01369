package page

import (
	"flag"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/repool/repool/internal/show/control"
	"github.com/repool/repool/test/fakes/browsertest"
)

var shots = flag.String("shots", "", "write screenshots to this directory")

const isLive = `document.getElementById("live").dataset.state === "live"`

// TestScreens loads each main state in a real browser, wide and on a phone,
// light and dark: nothing may be refused, asked of another host, wider than the
// window, or too faint to read.
func TestScreens(t *testing.T) {
	t.Parallel()
	b := browsertest.Open(t)
	for _, c := range []struct {
		name  string
		s     *stage
		width int64
		dark  bool
		whole bool // the whole page in the picture
	}{
		{"healthy", healthy(3), 1180, false, true},
		{"failover", failover(), 1180, false, true},
		{"resync", resyncing(0.43), 1180, false, true},
		{"resync-dark", resyncing(0.43), 1180, true, true},
		{"two-primaries", twoPrimaries(), 1180, false, true},
		{"phone-two-primaries", twoPrimaries(), 390, true, true},
		{"parked", parked(), 1180, false, true},
		{"sixty", sixty(), 1180, false, false},
		{"phone", resyncing(0.43), 390, false, true},
		{"phone-dark", parked(), 390, true, true},
		{"phone-sixty", sixty(), 390, false, false},
	} {
		srv := httptest.NewServer(New(c.s.options(Login{})))
		b.Look(c.width, 900, c.dark)
		b.Go(srv.URL)
		b.Until(isLive)
		if over := b.Text(wider); over != "" {
			t.Errorf("%s: wider than the window: %s", c.name, over)
		}
		if cut := b.Text(cutOff); cut != "" {
			t.Errorf("%s: the table's last column is cut off, which is what a person looks for: %s", c.name, cut)
		}
		if faint := b.Text(contrast); faint != "" {
			t.Errorf("%s: too faint: %s", c.name, faint)
		}
		if *shots != "" {
			b.Shot(filepath.Join(*shots, c.name+".png"), c.whole)
		}
		b.Silent()
		b.Go("about:blank")
		srv.CloseClientConnections()
		srv.Close()
	}
}

// wider names what sticks out of the window, but for the table that scrolls.
const wider = `(() => { const w = document.documentElement.clientWidth;
	if (document.documentElement.scrollWidth <= w) return "";
	return [...document.querySelectorAll("body *")].filter(e => e.getBoundingClientRect().right > w + 1 && ` +
	`!e.closest(".scroll, .unseen")).slice(0, 3).map(e => e.outerHTML.slice(0, 90)).join(" | ") || "the page"; })()`

// cutOff is by how much a table is wider than its place.
const cutOff = `[...document.querySelectorAll(".scroll")].filter(e => e.scrollWidth > e.clientWidth + 1).map(e => ` +
	`e.scrollWidth + " of " + e.clientWidth).join(" ")`

// contrast names texts below WCAG's AA: 4.5 to 1 against what is behind them.
const contrast = `(() => {
	const rgb = c => { const m = c.match(/[\d.]+/g).map(Number); return m.length === 3 ? [...m, 1] : m; };
	const lum = c => { const f = v => { v /= 255; return v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4; }; ` +
	`return .2126 * f(c[0]) + .7152 * f(c[1]) + .0722 * f(c[2]); };
	const behind = e => { for (; e; e = e.parentElement) {
		if (e.namespaceURI.endsWith("svg")) { const r = e.parentElement && e.parentElement.querySelector(":scope > ` +
	`rect"); if (r && r !== e) return rgb(getComputedStyle(r).fill); continue; }
		const c = rgb(getComputedStyle(e).backgroundColor); if (c[3] === 1) return c; } return [255, 255, 255, 1]; };
	const bad = new Set();
	for (const e of document.querySelectorAll("body *")) {
		if (![...e.childNodes].some(n => n.nodeType === 3 && n.data.trim()) || !e.checkVisibility() || ` +
	`e.closest(".unseen, .skip, title, noscript")) continue;
		const s = getComputedStyle(e), svg = e.namespaceURI.endsWith("svg");
		const a = lum(rgb(svg ? s.fill : s.color)), z = lum(behind(e)), ratio = (Math.max(a, z) + .05) / (Math.min(a, z) ` +
	`+ .05);
		if (ratio < 4.5) bad.add(e.nodeName + "." + (e.getAttribute("class") || "") + " " + ` +
	`e.textContent.trim().slice(0, 30) + " " + ratio.toFixed(2));
	}
	return [...bad].slice(0, 5).join(" | "); })()`

// TestPageStaysFresh: what changes is put in place while the reader reads: an
// opened part stays open, the focus where it is, and the tab says what counts.
func TestPageStaysFresh(t *testing.T) {
	t.Parallel()
	s := resyncing(0.2)
	srv := serve(t, s, Login{})
	b := browsertest.Open(t)
	b.Look(1180, 900, false)
	b.Go(srv.URL)
	b.Until(isLive)
	b.Text(`(document.getElementById("why-0").open = true, document.querySelector("#why-0 summary").focus(), ` +
		`window.mark = document.getElementById("why-0"), "")`)
	s.change(func(st *control.Status) {
		r := rewound(0.77)
		st.Snapshot.Nodes[0].Agent.Run = &r
	})
	b.Until(`document.querySelector("#work-0 progress").value >= 765`)
	b.Until(`document.querySelector("svg.pool.w .done").getAttribute("width") > 150`)
	if got := b.Text(`[document.getElementById("why-0").open, document.activeElement.parentElement.id, ` +
		`window.mark.isConnected].join(" ")`); got != "true why-0 true" {
		t.Errorf("open, focus, same element: %s", got)
	}
	s.change(func(st *control.Status) { *st = healthy(3).st; st.Pass = 99 })
	b.Until(`document.querySelector("#s-head h1").innerText === "All 3 nodes are attached and healthy" && ` +
		`!document.getElementById("work-0")`)
	srv.CloseClientConnections()
	srv.Listener.Close()
	b.Until(`document.getElementById("live").dataset.state === "lost" && ` +
		`document.getElementById("live-text").innerText.includes("this page is out of date")`)
}

// TestWithoutScript: the page is complete, and reloads itself.
func TestWithoutScript(t *testing.T) {
	t.Parallel()
	inner := New(resyncing(0.43).options(Login{}))
	loads := make(chan string, 100)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		loads <- r.URL.Path
		inner.ServeHTTP(w, r)
	}))
	defer srv.Close()
	b := browsertest.Open(t)
	b.Script(false)
	b.Go(srv.URL)
	if got := b.Text(`document.body.innerText`); !strings.Contains(got, "2 of 3 nodes are attached") ||
		!strings.Contains(got, "rewind 4") {
		t.Errorf("it says %s", got)
	}
	for pages := 0; pages < 2; { // the second is the page's own refresh
		select {
		case path := <-loads:
			switch path {
			case "/":
				pages++
			case "/events":
				t.Error("a script ran")
			}
		case <-time.After(30 * time.Second):
			t.Fatal("the page does not reload itself")
		}
	}
	b.Silent()
}

// TestPersonActs logs in and holds a node, by keyboard alone.
func TestPersonActs(t *testing.T) {
	t.Parallel()
	s := healthy(3)
	srv := serve(t, s, login(t))
	b := browsertest.Open(t)
	b.Look(1180, 900, false)
	b.Go(srv.URL)
	b.Until(isLive)
	b.Keys(`.who a`, "\r")
	b.Until(`document.querySelector("input[name=password]")`)
	b.Keys(`input[name=name]`, "ann")
	b.Keys(`input[name=password]`, secret+"\r")
	b.Until(`location.pathname === "/act"`)
	b.Keys(`a[href="/act?node=1"]`, "\r")
	b.Until(`document.querySelector('a[href="/act/hold?node=1"]')`)
	b.Keys(`a[href="/act/hold?node=1"]`, "\r")
	b.Until(`document.querySelector("input[name=why]")`)
	b.Keys(`input[name=why]`, "new disk")
	b.Keys(`form.sheet button`, "\r")
	b.Until(`document.querySelector(".flash") && document.querySelector(".flash").innerText === "Hold requested for ` +
		`node 1."`)
	s.mu.Lock()
	defer s.mu.Unlock()
	if want := []string{`hold 1 "new disk" ann on the page until false`}; !slices.Equal(s.asked, want) {
		t.Errorf("asked %q, want %q", s.asked, want)
	}
	b.Silent()
}
