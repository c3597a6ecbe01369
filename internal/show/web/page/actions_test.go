package page

import (
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"golang.org/x/crypto/bcrypt"

	"github.com/repool/repool/internal/show/control"
)

// visitor is a person with a browser that follows no redirect by itself.
type visitor struct {
	t    *testing.T
	url  string
	http *http.Client
}

func visit(t *testing.T, url string) *visitor {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &visitor{t, url, &http.Client{Jar: jar,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
}

// do sends a request; heads are name and value in turn.
func (v *visitor) do(method, path string, form url.Values, heads ...string) *http.Response {
	v.t.Helper()
	req, err := http.NewRequestWithContext(v.t.Context(), method, v.url+path, strings.NewReader(form.Encode()))
	if err != nil {
		v.t.Fatal(err)
	}
	if method == http.MethodPost {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.Header.Set("Sec-Fetch-Site", "same-origin")
	}
	for i := 0; i < len(heads); i += 2 {
		req.Header.Set(heads[i], heads[i+1])
	}
	resp, err := v.http.Do(req)
	if err != nil {
		v.t.Fatal(err)
	}
	v.t.Cleanup(func() { _ = resp.Body.Close() })
	return resp
}

func (v *visitor) body(path string) string {
	v.t.Helper()
	resp := v.do(http.MethodGet, path, nil)
	b := make([]byte, 1<<20)
	n := 0
	for {
		m, err := resp.Body.Read(b[n:])
		if n += m; err != nil {
			return string(b[:n])
		}
	}
}

const secret = "correct horse battery"

func login(t *testing.T) Login {
	t.Helper()
	hash, err := bcrypt.GenerateFromPassword([]byte(secret), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	return Login{PasswordHash: string(hash)}
}

// loggedIn is a visitor with a session, and the token of its forms.
func loggedIn(t *testing.T, url string) (*visitor, string) {
	t.Helper()
	v := visit(t, url)
	if resp := v.do(http.MethodPost, "/login",
		form("password", secret, "name", "ann")); resp.StatusCode != http.StatusSeeOther ||
		resp.Header.Get("Location") != "/act" {
		t.Fatalf("login: %s to %s", resp.Status, resp.Header.Get("Location"))
	}
	m := regexp.MustCompile(`name="token" value="([A-Z0-9]+)"`).FindStringSubmatch(v.body("/act/hold?node=1"))
	if m == nil {
		t.Fatal("no token in the form")
	}
	return v, m[1]
}

func form(kv ...string) url.Values {
	f := url.Values{}
	for i := 0; i < len(kv); i += 2 {
		f.Set(kv[i], kv[i+1])
	}
	return f
}

func TestDeeds(t *testing.T) {
	t.Parallel()
	s := healthy(3)
	v, token := loggedIn(t, serve(t, s, login(t)).URL)
	for _, c := range []struct {
		do   string
		form url.Values
		want string
	}{
		{"hold", form("node", "1", "why", "new\ndisk", "for", "2h"), `hold 1 "new disk" ann on the page until true`},
		{"hold", form("node", "none", "why", "night"), `hold none "night" ann on the page until false`},
		{"release", form("node", "1"), `release 1 ann on the page`},
		{"resync", form("node", "2", "method", "rewind"), `resync 2 "rewind" ann on the page`},
		{"attach", form("node", "2"), `attach 2 ann on the page`},
		{"detach", form("node", "2", "why", "disk"), `detach 2 "disk" ann on the page`},
	} {
		if page := v.body("/act/" + c.do + "?node=" + c.form.Get("node")); !strings.Contains(page, "Yes: ") {
			t.Errorf("%s is not asked for once more:\n%s", c.do, page)
		}
		c.form.Set("token", token)
		if resp := v.do(http.MethodPost, "/act/"+c.do, c.form); resp.StatusCode != http.StatusSeeOther {
			t.Errorf("%s: %s", c.do, resp.Status)
		}
		if n := len(s.asked); n == 0 || s.asked[n-1] != c.want {
			t.Errorf("%s: asked %q, want %q", c.do, s.asked, c.want)
		}
	}
	if page := v.body("/"); !strings.Contains(page, "Detach requested for node 2.") {
		t.Error("the page does not say what came of it")
	}
	if page := v.body("/"); strings.Contains(page, "requested for") {
		t.Error("it says so twice")
	}
	s.refuse = &control.RefusedError{Code: "is-primary", Msg: "it would be a failover", Hint: "choose another"}
	v.do(http.MethodPost, "/act/detach", form("node", "1", "token", token, "why", "x"))
	if page := v.body("/"); !strings.Contains(page,
		"Not done (is-primary): it would be a failover. To fix it: choose another.") {
		t.Error("a refusal is not shown")
	}
	n := len(s.asked)
	for _, bad := range []struct{ do, node string }{{"resync", "none"}, {"resync", ""}, {"detach", "7"}, {"wipe", "1"}} {
		v.do(http.MethodPost, "/act/"+bad.do, form("node", bad.node, "token", token))
	}
	if len(s.asked) != n {
		t.Errorf("what is not offered was asked for: %q", s.asked[n:])
	}
}

// TestForgedRequests: no session, another site, another form: nothing is done.
func TestForgedRequests(t *testing.T) {
	t.Parallel()
	s := healthy(3)
	srv := serve(t, s, login(t))
	v, token := loggedIn(t, srv.URL)
	stranger := visit(t, srv.URL)
	hold := form("node", "1", "why", "x", "token", token)
	for name, c := range map[string]struct {
		who    *visitor
		form   url.Values
		heads  []string
		status int
	}{
		"nobody":                      {stranger, hold, nil, http.StatusSeeOther},
		"another site":                {v, hold, []string{"Sec-Fetch-Site", "cross-site"}, http.StatusForbidden},
		"another site of this domain": {v, hold, []string{"Sec-Fetch-Site", "same-site"}, http.StatusForbidden},
		"an old browser on another site": {v, hold, []string{"Sec-Fetch-Site", "", "Origin", "https://evil.example"},
			http.StatusForbidden},
		"no token":                      {v, form("node", "1", "why", "x"), nil, http.StatusForbidden},
		"another token":                 {v, form("node", "1", "why", "x", "token", token+"A"), nil, http.StatusForbidden},
		"a stolen cookie of no session": {stranger, hold, []string{"Cookie", cookieName + "=AAAA"}, http.StatusSeeOther},
	} {
		resp := c.who.do(http.MethodPost, "/act/hold", c.form, c.heads...)
		if resp.StatusCode != c.status || c.status == http.StatusSeeOther && resp.Header.Get("Location") != "/login" {
			t.Errorf("%s: %s to %s", name, resp.Status, resp.Header.Get("Location"))
		}
	}
	if resp := v.do(http.MethodGet, "/act/hold?node=1&token="+token, nil); resp.StatusCode != 200 {
		t.Errorf("the form: %s", resp.Status)
	}
	for _, path := range []string{"/act", "/act/hold?node=1"} {
		if resp := stranger.do(http.MethodGet, path, nil); resp.Header.Get("Location") != "/login" {
			t.Errorf("%s without a login: %s", path, resp.Status)
		}
	}
	if len(s.asked) != 0 {
		t.Errorf("asked %q", s.asked)
	}
	v.do(http.MethodPost, "/logout", form("token", token))
	v.do(http.MethodPost, "/act/hold", hold)
	if len(s.asked) != 0 {
		t.Errorf("after logging out: %q", s.asked)
	}
}

func TestSessionCookie(t *testing.T) {
	t.Parallel()
	srv := serve(t, healthy(3), login(t))
	for _, heads := range [][]string{nil, {"X-Forwarded-Proto", "https"}} {
		resp := visit(t, srv.URL).do(http.MethodPost, "/login", form("password", secret), heads...)
		c := resp.Cookies()
		if len(c) != 1 || !c[0].HttpOnly || c[0].SameSite != http.SameSiteStrictMode || c[0].Path != "/" ||
			len(c[0].Value) < 40 || c[0].Secure != (heads != nil) {
			t.Errorf("%v: %+v", heads, c)
		}
	}
}

func TestGuessingIsSlow(t *testing.T) {
	t.Parallel()
	srv := serve(t, healthy(3), login(t))
	var got []int
	for range tries + 2 {
		resp := visit(t, srv.URL).do(http.MethodPost, "/login", form("password", "guess"))
		if len(resp.Cookies()) != 0 {
			t.Error("a guess got a cookie")
		}
		got = append(got, resp.StatusCode)
	}
	if !slices.Equal(got, []int{403, 403, 403, 403, 403, 429, 429}) {
		t.Errorf("answers: %v", got)
	}
	if resp := visit(t, srv.URL).do(http.MethodPost, "/login",
		form("password", secret)); resp.StatusCode != http.StatusTooManyRequests {
		t.Errorf("the right one meanwhile: %s", resp.Status)
	}
}

func TestTokenFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(name, text string, mode os.FileMode) Login {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		return Login{TokenFile: path}
	}
	for name, c := range map[string]struct {
		l    Login
		good bool
		err  string
	}{
		"right":              {write("a", secret+"\n", 0o600), true, ""},
		"wrong":              {write("b", "another secret of good length", 0o600), false, ""},
		"open to others":     {write("c", secret, 0o644), false, "chmod 600"},
		"too short to guess": {write("d", "", 0o600), false, "shorter than 16"},
		"missing":            {Login{TokenFile: filepath.Join(dir, "none")}, false, "no such file"},
	} {
		good, err := c.l.check(secret)
		if good != c.good || (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
			t.Errorf("%s: %v, %v", name, good, err)
		}
	}
	if good, _ := write("e", "", 0o600).check(""); good {
		t.Error("an empty file lets everybody in")
	}
}
