// Package browsertest drives a real Chromium for tests: one Browser a test,
// headless, with a profile of its own that is removed with the test.
//
// Open starts it, Do and Until act and wait, Silent asserts at the end that the
// browser complained of nothing: no script error, nothing refused by the
// content security policy, no request to another host. A machine without
// Chromium fails the test; scripts/install-deps.sh installs it.
package browsertest

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// patience bounds one wait: several browsers may share few cores.
const patience = time.Minute

// Step is something that the browser does.
type Step = chromedp.Action[chromedp.Void]

// Browser is one real Chromium, with one tab, and what it complained of.
type Browser struct {
	t   testing.TB
	ctx context.Context

	mu  sync.Mutex
	bad []string
}

// Open starts a Chromium that ends with the test.
func Open(t testing.TB) *Browser {
	t.Helper()
	path, err := exec.LookPath("chromium")
	if err != nil {
		t.Fatalf("%v: make deps-test installs it", err)
	}
	dir, err := os.MkdirTemp("", "repool-browser-")
	if err != nil {
		t.Fatal(err)
	}
	flags := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.NoSandbox,
		chromedp.DisableGPU, chromedp.UserDataDir(dir))
	for _, f := range []string{"disable-quic", "no-first-run", "disable-background-networking",
		"disable-component-update", "disable-sync", "hide-scrollbars", "disable-dev-shm-usage"} {
		flags = append(flags, chromedp.Flag(f, true))
	}
	actx, stop := chromedp.NewExecAllocator(context.Background(), flags...)
	ctx, cancel := chromedp.NewContext(actx)
	t.Cleanup(func() {
		cancel()
		stop()
		if err := os.RemoveAll(dir); err != nil {
			t.Logf("remove the browser's profile: %v", err)
		}
	})
	b := &Browser{t: t, ctx: ctx}
	b.must(chromedp.Do(ctx))
	b.must(chromedp.Listen(ctx, b.note))
	b.Do(call(log.Enable, cdp.Empty{}), call(network.Enable, network.EnableParams{}), call(runtime.Enable, cdp.Empty{}))
	return b
}

func call[P, R any](c cdp.Command[P, R], p P) Step {
	return chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, c, p)
		return err
	})
}

func (b *Browser) note(ev any) {
	var bad string
	switch e := ev.(type) {
	case *runtime.EventExceptionThrown:
		bad = "script: " + e.ExceptionDetails.Text
		if x := e.ExceptionDetails.Exception; x != nil {
			bad += " " + x.Description
		}
	case *log.EventEntryAdded: // a refusal by the content security policy is one
		bad = e.Entry.Text + " " + e.Entry.URL
	case *network.EventRequestWillBeSent:
		if !strings.HasPrefix(e.Request.URL, "http://127.0.0.1:") {
			bad = "it asked " + e.Request.URL
		}
	}
	if bad != "" {
		b.mu.Lock()
		b.bad = append(b.bad, bad)
		b.mu.Unlock()
	}
}

func (b *Browser) must(err error) {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
}

// Do does these steps in order.
func (b *Browser) Do(steps ...Step) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	b.must(chromedp.Do(ctx, steps...))
}

// Go loads a page.
func (b *Browser) Go(url string) {
	b.t.Helper()
	b.Do(chromedp.Navigate(url))
}

// Text evaluates an expression that gives a text.
func (b *Browser) Text(expr string) string {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	text, err := chromedp.Run(ctx, chromedp.Evaluate[string](expr))
	b.must(err)
	return text
}

// Until waits for an expression to be true.
func (b *Browser) Until(expr string) {
	b.t.Helper()
	if err := b.Within(patience, expr); err != nil {
		b.t.Fatalf("%s: %v; the page says: %s", expr, err, b.Text(`document.body.innerText.slice(0, 1500)`))
	}
}

// Within is Until with a time of its own and an error. A page that is left
// meanwhile, as by a click, is waited for on the next one.
func (b *Browser) Within(d time.Duration, expr string) error {
	ctx, cancel := context.WithTimeout(b.ctx, d+patience)
	defer cancel()
	for until := time.Now().Add(d); ; {
		poll := chromedp.Poll[chromedp.Void]("!!("+expr+")", chromedp.WithPollingInterval(50*time.Millisecond),
			chromedp.WithPollingTimeout(max(time.Until(until), time.Millisecond)))
		_, err := chromedp.Run(ctx, poll)
		if err == nil || errors.Is(err, chromedp.ErrPollingTimeout) || time.Now().After(until) || ctx.Err() != nil {
			return err
		}
	}
}

// Look sets the window's size and whether it is dark. Animations stand still.
func (b *Browser) Look(width, height int64, dark bool) {
	b.t.Helper()
	scheme := "light"
	if dark {
		scheme = "dark"
	}
	b.Do(call(emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{
		{Name: "prefers-color-scheme", Value: scheme}, {Name: "prefers-reduced-motion", Value: "reduce"}}}),
		chromedp.EmulateViewport(width, height))
}

// Keys types into what a selector finds, which gets the focus; "\r" is Enter.
func (b *Browser) Keys(selector, keys string) {
	b.t.Helper()
	b.Do(chromedp.SendKeys(chromedp.CSS(selector), keys))
}

// Script turns scripts of pages on or off.
func (b *Browser) Script(on bool) {
	b.t.Helper()
	b.Do(call(emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: !on}))
}

// Shot writes a picture of the window, or of the whole page, as PNG.
func (b *Browser) Shot(file string, whole bool) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	take := chromedp.CaptureScreenshot()
	if whole {
		take = chromedp.FullScreenshot(100)
	}
	png, err := chromedp.Run(ctx, take)
	b.must(err)
	b.must(os.WriteFile(file, png, 0o644))
}

// Silent asserts that the browser has complained of nothing.
func (b *Browser) Silent() {
	b.t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, bad := range b.bad {
		b.t.Errorf("the browser: %s", bad)
	}
}
