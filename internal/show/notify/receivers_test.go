package notify

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/repool/repool/internal/core/topology"
)

var sent = Event{ID: "evt_1", Kind: NodeParked, At: noon, Nodes: []topology.NodeID{1, 2}, Code: "no-space",
	Text: `it said "$(touch /tmp/never)"; 'so'`}

func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestWebhookIsSigned(t *testing.T) {
	t.Parallel()
	const secret = "a secret of many bytes"
	for name, text := range map[string]string{"as it is": secret + "\n", "whsec_": "whsec_" +
		base64.StdEncoding.EncodeToString([]byte(secret))} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var body []byte
			var h http.Header
			s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				h = r.Header
				body, _ = io.ReadAll(r.Body)
			}))
			defer s.Close()
			w, err := NewWebhook(s.URL, write(t, text), "test")
			if err != nil {
				t.Fatal(err)
			}
			if err := w.Send(t.Context(), sent); err != nil {
				t.Fatal(err)
			}
			var got Event
			if err := json.Unmarshal(body, &got); err != nil || got.Kind != NodeParked || got.Text != sent.Text ||
				len(got.Nodes) != 2 {
				t.Errorf("body: %s, %v", body, err)
			}
			want := "v1," + sign([]byte(secret), "evt_1", h.Get("Webhook-Timestamp"), body)
			if h.Get("Webhook-Signature") != want || h.Get("Webhook-Id") != "evt_1" ||
				h.Get("Content-Type") != "application/json" {
				t.Errorf("headers: %v", h)
			}
		})
	}
}

// TestSignatureIsTheSpecifications is the example of Standard Webhooks.
func TestSignatureIsTheSpecifications(t *testing.T) {
	t.Parallel()
	secret, err := readSecret(write(t, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"))
	if err != nil {
		t.Fatal(err)
	}
	if got := sign(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330",
		[]byte(`{"test": 2432232314}`)); got != "g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=" {
		t.Error(got)
	}
}

func TestSecretsThatAreNone(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{"short": "abc", "no base64": "whsec_%%%", "empty": ""} {
		if _, err := NewWebhook("http://localhost", write(t, text), ""); err == nil || text != "" &&
			strings.Contains(err.Error(), text) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := NewWebhook("http://localhost", "/nowhere", ""); err == nil {
		t.Error("a secret that is not there")
	}
}

// TestWebhookErrorsKeepTheAddress: there may be a secret in it.
func TestWebhookErrorsKeepTheAddress(t *testing.T) {
	t.Parallel()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/hidden/away" {
			http.Redirect(w, r, "/elsewhere", http.StatusFound)
			return
		}
		http.Error(w, "not now", http.StatusServiceUnavailable)
	}))
	closed := httptest.NewServer(http.NotFoundHandler())
	closed.Close()
	defer s.Close()
	for address, want := range map[string]string{s.URL + "/hidden": "503 Service Unavailable: not now",
		s.URL + "/hidden/away": "302 Found", closed.URL + "/hidden": "connection refused"} {
		w, err := NewWebhook(address, "", "")
		if err != nil {
			t.Fatal(err)
		}
		if err := w.Send(t.Context(), sent); err == nil || !strings.Contains(err.Error(), want) ||
			strings.Contains(err.Error(), "hidden") {
			t.Errorf("%s: %v, want %q and no path", address, err, want)
		}
	}
}

func TestCommandGetsTheEvent(t *testing.T) {
	t.Setenv("PGPASSWORD", "secret")
	out := filepath.Join(t.TempDir(), "out")
	c := NewCommand(`cat > '` + out + `'; echo "$REPOOL_EVENT|$REPOOL_NODES|$REPOOL_CODE|$REPOOL_TEXT|$PGPASSWORD" >> '` +
		out + `'`)
	if err := c.Send(t.Context(), sent); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	first, second, _ := strings.Cut(strings.TrimSpace(string(b)), "\n")
	var got Event
	if err := json.Unmarshal([]byte(first), &got); err != nil || got.ID != "evt_1" {
		t.Errorf("standard input: %s, %v", first, err)
	}
	if want := "node-parked|1 2|no-space|" + sent.Text + "|"; second != want {
		t.Errorf("environment: %s\nwant %s", second, want)
	}
}

func TestCommandThatFailsOrHangs(t *testing.T) {
	t.Parallel()
	if err := NewCommand("echo what is wrong >&2; exit 3").Send(t.Context(), sent); err == nil ||
		!strings.Contains(err.Error(), "exit status 3: what is wrong") {
		t.Errorf("exit status: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	began := time.Now()
	if err := NewCommand("sleep 600 & sleep 600").Send(ctx, sent); err == nil {
		t.Error("a command that was killed has done its work")
	}
	if took := time.Since(began); took > 30*time.Second {
		t.Errorf("it took %s", took)
	}
}
