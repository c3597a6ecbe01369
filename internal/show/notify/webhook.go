package notify

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"
)

// Webhook gets events by POST. The body is the event in JSON, signed as Standard
// Webhooks has it: the header webhook-signature is "v1," and the base64 of the
// HMAC-SHA256 of "<webhook-id>.<webhook-timestamp>.<body>".
type Webhook struct {
	url    string
	host   string
	secret []byte // nil: not signed
	agent  string
	client *http.Client
}

// NewWebhook makes a webhook; secretFile may be empty, then nothing is signed.
func NewWebhook(target, secretFile, version string) (*Webhook, error) {
	u, err := url.Parse(target)
	if err != nil {
		return nil, errors.New("the webhook's url cannot be read") // the error would show it, and there may be a secret in it
	}
	w := &Webhook{url: target, host: u.Host, agent: "repool/" + version, client: &http.Client{
		// A redirect would carry the signature to somebody else.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{Proxy: http.ProxyFromEnvironment, DisableKeepAlives: true,
			TLSHandshakeTimeout: 10 * time.Second},
	}}
	if secretFile != "" {
		if w.secret, err = readSecret(secretFile); err != nil {
			return nil, err
		}
	}
	return w, nil
}

// readSecret takes the file's text; "whsec_" before it says that it is base64.
func readSecret(path string) ([]byte, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read the webhook's secret: %w", err)
	}
	text := strings.TrimSpace(string(b))
	if coded, is := strings.CutPrefix(text, "whsec_"); is {
		if b, err = base64.StdEncoding.DecodeString(coded); err != nil {
			return nil, fmt.Errorf("read the webhook's secret: what follows whsec_ in %s is not base64", path)
		}
		text = string(b)
	}
	if len(text) < 16 {
		return nil, fmt.Errorf("read the webhook's secret: %s has %d bytes; at least 16 are needed", path, len(text))
	}
	return []byte(text), nil
}

// Name is "webhook": the address may hold a secret.
func (*Webhook) Name() string { return "webhook" }

// Send posts the event. Any answer but 2xx is an error.
func (w *Webhook) Send(ctx context.Context, e Event) error {
	body, err := json.Marshal(e)
	if err != nil {
		return fmt.Errorf("encode event: %w", err)
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, w.url, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("post to %s: the url cannot be used", w.host)
	}
	now := strconv.FormatInt(time.Now().Unix(), 10)
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("User-Agent", w.agent)
	r.Header.Set("Webhook-Id", e.ID)
	r.Header.Set("Webhook-Timestamp", now)
	if w.secret != nil {
		r.Header.Set("Webhook-Signature", "v1,"+sign(w.secret, e.ID, now, body))
	}
	res, err := w.client.Do(r)
	if err != nil {
		var ue *url.Error // its text has the whole address
		if errors.As(err, &ue) {
			err = ue.Err
		}
		return fmt.Errorf("post to %s: %w", w.host, err)
	}
	defer func() { _ = res.Body.Close() }() // what was to be read is read
	said, err := io.ReadAll(io.LimitReader(res.Body, 200))
	if res.StatusCode/100 != 2 {
		return fmt.Errorf("post to %s: it answered %s: %.200s", w.host, res.Status, bytes.TrimSpace(said))
	}
	if err != nil {
		return fmt.Errorf("post to %s: read its answer: %w", w.host, err)
	}
	return nil
}

func sign(secret []byte, id, timestamp string, body []byte) string {
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(id + "." + timestamp + "."))
	mac.Write(body)
	return base64.StdEncoding.EncodeToString(mac.Sum(nil))
}
