package page

import (
	"bytes"
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"html/template"
	"io/fs"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/repool/repool/internal/show/control"
	"github.com/repool/repool/internal/show/event"
	"github.com/repool/repool/internal/show/view"
)

// Source is where the page's data comes from.
type Source interface {
	// Status is the newest published state; it never blocks.
	Status() control.Status
	History(ctx context.Context, f event.Filter) ([]event.Event, error)
}

// Options wire the page. Act and Login are needed together, or not at all.
type Options struct {
	Source Source
	Log    *slog.Logger
	// Act does what a person requests; nil: the page is read-only.
	Act   Actor
	Login Login
}

//go:embed assets html
var files embed.FS

// policy lets the page load this server's own files and nothing else; inline
// scripts and styles are refused.
const policy = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self'; " +
	"form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

type server struct {
	o      Options
	tmpl   *template.Template
	assets map[string]asset // by the path under /assets/
	pulse  pulse
	guard  *sessions // nil without a login
	// followers bounds how many event streams are open.
	followers chan struct{}
}

type asset struct {
	body []byte
	kind string
}

// maxFollowers is how many browsers may follow at a time.
const maxFollowers = 100

// New makes the handler.
func New(o Options) http.Handler {
	s := &server{o: o, followers: make(chan struct{}, maxFollowers)}
	s.load()
	s.pulse.s = s
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", s.show)
	mux.HandleFunc("GET /events", s.follow)
	mux.HandleFunc("GET /runs/{id}", s.story)
	mux.HandleFunc("GET /assets/{name}", s.asset)
	s.api(mux)
	if o.Act != nil && o.Login.On() {
		s.guard = newSessions(o.Login, o.Log)
		s.actions(mux)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		letGo(w)
		w.Header().Set("Content-Security-Policy", policy)
		w.Header().Set("Cross-Origin-Opener-Policy", "same-origin")
		w.Header().Set("Cross-Origin-Resource-Policy", "same-origin")
		mux.ServeHTTP(w, r)
	})
}

// readFor is how long a browser may take to read one response, or one event.
const readFor = 20 * time.Second

// letGo bounds the next write: a client that does not read must not keep a response
// in memory for ever.
func letGo(w http.ResponseWriter) {
	// What cannot be bounded, such as a test's recorder, needs no bound.
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(readFor))
}

// load parses the templates and gives each asset a name with its hash in it, so
// that browsers may cache it for ever.
func (s *server) load() {
	s.assets = map[string]asset{}
	names := map[string]string{}
	kinds := map[string]string{".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8",
		".svg": "image/svg+xml"}
	entries, err := fs.ReadDir(files, "assets")
	if err != nil {
		panic(err) // they are in the binary
	}
	for _, e := range entries {
		body, err := files.ReadFile("assets/" + e.Name())
		if err != nil {
			panic(err)
		}
		sum := sha256.Sum256(body)
		base, ext, _ := strings.Cut(e.Name(), ".")
		name := base + "-" + hex.EncodeToString(sum[:6]) + "." + ext
		s.assets[name], names[e.Name()] = asset{body, kinds["."+ext]}, name
	}
	s.tmpl = template.Must(template.New("").Funcs(template.FuncMap{
		"asset":    func(name string) string { return "/assets/" + names[name] },
		"add":      add,
		"stamp":    func(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) },
		"clock":    func(t time.Time) string { return t.UTC().Format("15:04:05 UTC") },
		"day":      func(t time.Time) string { return t.UTC().Format("Monday, 2 January 2006") },
		"took":     view.Took,
		"permille": func(share float64) int { return int(1000 * share) },
	}).ParseFS(files, "html/*.html"))
}

func add(n ...int) (sum int) {
	for _, x := range n {
		sum += x
	}
	return sum
}

func (s *server) asset(w http.ResponseWriter, r *http.Request) {
	a, ok := s.assets[r.PathValue("name")]
	if !ok {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", a.kind)
	w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	_, _ = w.Write(a.body) // the peer has gone if this fails
}

// frame is what surrounds every page.
type frame struct {
	Title    string
	Live     bool
	Actions  bool
	LoggedIn bool
	Token    string
	Flash    string
	Body     template.HTML
}

// render writes a page.
func (s *server) render(w http.ResponseWriter, r *http.Request, status int, f frame, name string, data any) {
	var body, out bytes.Buffer
	err := s.tmpl.ExecuteTemplate(&body, name, data)
	if err == nil {
		f.Body = template.HTML(body.String()) //nolint:gosec // it comes from the templates, which have escaped it
		if s.guard != nil {
			f.Actions = true
			if session := s.guard.of(r); session != nil {
				f.LoggedIn, f.Token = true, session.token
			}
		}
		err = s.tmpl.ExecuteTemplate(&out, "shell", f)
	}
	if err != nil {
		s.o.Log.Error("page not rendered", "page", name, "err", err)
		http.Error(w, "the page could not be rendered; the log says why", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(out.Bytes()) // the peer has gone if this fails
}

func (s *server) show(w http.ResponseWriter, r *http.Request) {
	now := s.pulse.now(r.Context())
	flash := ""
	if s.guard != nil {
		flash = s.guard.flash(r)
	}
	s.render(w, r, http.StatusOK, frame{Title: title(&now.view), Live: true, Flash: flash}, "page", now.data)
}

// title is what a browser's tab shows.
func title(v *view.View) string {
	return fmt.Sprintf("%d/%d attached · repool", v.Attached, len(v.Nodes))
}
