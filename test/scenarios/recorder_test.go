package scenarios

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/user"
	"slices"
	"strconv"
	"sync"
	"testing"
)

// recorder is an HTTP server that keeps what it is sent.
type recorder struct {
	url string
	mu  sync.Mutex
	got []request
}

type request struct {
	header http.Header
	body   []byte
}

func record(t *testing.T) *recorder {
	t.Helper()
	r := &recorder{}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		body, err := io.ReadAll(q.Body)
		if err != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		r.got = append(r.got, request{q.Header, body})
	}))
	t.Cleanup(s.Close)
	r.url = s.URL
	return r
}

func (r *recorder) all() []request {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.got)
}

const webhookSecret = "a secret of the scenario"

// signedRight checks a request as Standard Webhooks tells a receiver to.
func signedRight(r request) bool {
	mac := hmac.New(sha256.New, []byte(webhookSecret))
	mac.Write([]byte(r.header.Get("Webhook-Id") + "." + r.header.Get("Webhook-Timestamp") + "."))
	mac.Write(r.body)
	return r.header.Get("Webhook-Signature") == "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

// sharedDir is a directory that the lab's user can write to as well.
func sharedDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "repool-told-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	give(t, dir)
	return dir
}

func privateFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	give(t, path)
}

// give makes the lab's user the owner, where the lab changes to one.
func give(t *testing.T, path string) {
	t.Helper()
	if os.Geteuid() != 0 {
		return
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		t.Fatal(err)
	}
	uid, err1 := strconv.Atoi(u.Uid)
	gid, err2 := strconv.Atoi(u.Gid)
	if err1 != nil || err2 != nil || os.Chown(path, uid, gid) != nil {
		t.Fatalf("give %s to user %s (%s:%s)", path, u.Username, u.Uid, u.Gid)
	}
}
