package cli

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/repool/repool/internal/exit"
)

func TestNotifySendsATest(t *testing.T) {
	t.Parallel()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/down" {
			w.WriteHeader(http.StatusBadGateway)
		}
	}))
	t.Cleanup(s.Close)
	heard := filepath.Join(t.TempDir(), "heard")
	for name, c := range map[string]struct {
		yaml string
		code int
		out  string
	}{
		"both": {fmt.Sprintf("notify: {on_event: 'cat > %s', webhook: {url: '%s'}}", heard, s.URL), exit.OK,
			"on_event: accepted\nwebhook: accepted\n"},
		"one does not hear": {fmt.Sprintf("notify: {on_event: 'true', webhook: {url: '%s/down'}}", s.URL), exit.Unreachable,
			"502 Bad Gateway"},
		"nobody": {"", exit.Usage, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conf := filepath.Join(t.TempDir(), "repool.yaml")
			if err := os.WriteFile(conf, []byte(c.yaml+"\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			code, out, errOut := run(t, nil, "notify", "--config", conf)
			if code != c.code || !strings.Contains(out, c.out) {
				t.Errorf("status %d, %q, %q", code, out, errOut)
			}
			if c.code == exit.OK {
				if b, err := os.ReadFile(heard); err != nil || !strings.Contains(string(b), `"event":"test"`) {
					t.Errorf("heard %s, %v", b, err)
				}
			}
		})
	}
}
