package page

import (
	"flag"
	"net/http/httptest"
	"path/filepath"
	"testing"

	"github.com/repool/repool/internal/web/browsertest"
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
const wider = `(() => { const w = document.documentElement.clientWidth; if (document.documentElement.scrollWidth <= w) return "";
	return [...document.querySelectorAll("body *")].filter(e => e.getBoundingClientRect().right > w + 1 && !e.closest(".scroll, .unseen")).slice(0, 3).map(e => e.outerHTML.slice(0, 90)).join(" | ") || "the page"; })()`

// contrast names texts below WCAG's AA: 4.5 to 1 against what is behind them.
const contrast = `(() => {
	const rgb = c => { const m = c.match(/[\d.]+/g).map(Number); return m.length === 3 ? [...m, 1] : m; };
	const lum = c => { const f = v => { v /= 255; return v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4; }; return .2126 * f(c[0]) + .7152 * f(c[1]) + .0722 * f(c[2]); };
	const behind = e => { for (; e; e = e.parentElement) {
		if (e.namespaceURI.endsWith("svg")) { const r = e.parentElement && e.parentElement.querySelector(":scope > rect"); if (r && r !== e) return rgb(getComputedStyle(r).fill); continue; }
		const c = rgb(getComputedStyle(e).backgroundColor); if (c[3] === 1) return c; } return [255, 255, 255, 1]; };
	const bad = new Set();
	for (const e of document.querySelectorAll("body *")) {
		if (![...e.childNodes].some(n => n.nodeType === 3 && n.data.trim()) || !e.checkVisibility() || e.closest(".unseen, .skip, title, noscript")) continue;
		const s = getComputedStyle(e), svg = e.namespaceURI.endsWith("svg");
		const a = lum(rgb(svg ? s.fill : s.color)), z = lum(behind(e)), ratio = (Math.max(a, z) + .05) / (Math.min(a, z) + .05);
		if (ratio < 4.5) bad.add(e.nodeName + "." + (e.getAttribute("class") || "") + " " + e.textContent.trim().slice(0, 30) + " " + ratio.toFixed(2));
	}
	return [...bad].slice(0, 5).join(" | "); })()`
