package page

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/show/control"
	"github.com/repool/repool/internal/show/view"
)

// Actor does what a person asks for. Each is refused with a
// *control.RefusedError where it would break a promise.
type Actor interface {
	Hold(ctx context.Context, r control.HoldRequest) error
	Release(ctx context.Context, node topology.NodeID, who string) error
	Resync(ctx context.Context, r control.ResyncRequest) error
	// Attach takes back what keeps a node from its attach: a hold, or a policy
	// that wants a person's word. The gate decides all the same.
	Attach(ctx context.Context, r control.NodeRequest) error
	// Detach holds a standby and has it detached; never the primary.
	Detach(ctx context.Context, r control.NodeRequest) error
}

// deed is one thing that a person can ask for.
type deed struct {
	Do, Title string
	// Says is what will happen, in a sentence or two.
	Says   string
	OfNode bool // of one node only, not of the pool
}

var deeds = []deed{
	{"resync", "Resync", "Gives consent to bring the node level with the primary, and ends a parking. Every safety check still holds; what only this node has is saved first.", true},
	{"hold", "Hold", "repool watches and does nothing: no resync, no attach, no detach, no fence. A run in progress goes on to its end.", false},
	{"release", "Release", "Ends a hold, and lets repool try again where it has given up.", false},
	{"attach", "Attach", "Ends a hold on the node, and consents to its attach. It is attached when it has passed every check, and not before.", true},
	{"detach", "Detach", "Pgpool-II routes no session to the standby any more, and it is on hold until released. Sessions that use it now are cut off by Pgpool-II.", true},
}

// maxForm bounds what a form may hold.
const maxForm = 16 << 10

// actions serves login and deeds. Every request that changes something comes
// from this very site (CrossOriginProtection), from a session, with its token.
func (s *server) actions(mux *http.ServeMux) {
	own := http.NewCrossOriginProtection()
	post := func(path string, h http.HandlerFunc) {
		mux.Handle("POST "+path, own.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			r.Body = http.MaxBytesReader(w, r.Body, maxForm)
			h(w, r)
		})))
	}
	mux.HandleFunc("GET /login", func(w http.ResponseWriter, r *http.Request) { s.loginForm(w, r, http.StatusOK, "") })
	post("/login", s.enter)
	post("/logout", s.withSession(func(w http.ResponseWriter, r *http.Request, _ *session) {
		s.guard.close(w, r)
		http.Redirect(w, r, "/", http.StatusSeeOther)
	}))
	mux.HandleFunc("GET /act", s.choose)
	mux.HandleFunc("GET /act/{do}", s.confirm)
	post("/act/{do}", s.withSession(s.perform))
}

func (s *server) loginForm(w http.ResponseWriter, r *http.Request, status int, wrong string) {
	s.render(w, r, status, frame{Title: "Log in · repool"}, "login", wrong)
}

func (s *server) enter(w http.ResponseWriter, r *http.Request) {
	from, _, _ := net.SplitHostPort(r.RemoteAddr)
	if !s.guard.mayTry() {
		s.o.Log.Warn("login refused", "code", "too-many-logins", "from", from)
		w.Header().Set("Retry-After", strconv.Itoa(int(tryEvery.Seconds())))
		s.loginForm(w, r, http.StatusTooManyRequests, "Too many attempts. Try again in a few seconds.")
		return
	}
	good, err := s.guard.login.check(r.PostFormValue("password"))
	if err != nil {
		s.o.Log.Error("login not checked", "err", err)
	}
	if !good {
		s.o.Log.Warn("login refused", "code", "wrong-password", "from", from)
		s.loginForm(w, r, http.StatusForbidden, "That is not the password.")
		return
	}
	who := nameOf(r.PostFormValue("name"))
	s.o.Log.Info("login", "who", who, "from", from)
	s.guard.open(w, r, who)
	http.Redirect(w, r, "/act", http.StatusSeeOther)
}

// nameOf is what the history will call the person.
func nameOf(given string) string {
	clean := strings.Map(func(c rune) rune {
		if unicode.IsPrint(c) {
			return c
		}
		return -1
	}, strings.TrimSpace(given))
	if r := []rune(clean); len(r) > 40 {
		clean = string(r[:40])
	}
	if clean == "" {
		return "somebody on the page"
	}
	return clean + " on the page"
}

// withSession lets only through what carries a session and its token.
func (s *server) withSession(h func(http.ResponseWriter, *http.Request, *session)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		one := s.guard.of(r)
		switch {
		case one == nil:
			http.Redirect(w, r, "/login", http.StatusSeeOther)
		case !equal(r.PostFormValue("token"), one.token):
			http.Error(w, "this form is not of this session; go back and load the page anew", http.StatusForbidden)
		default:
			h(w, r, one)
		}
	}
}

// choice is what the templates of the actions see.
type choice struct {
	Node     topology.NodeID
	IsPool   bool
	Subject  string
	Now      *view.NodeView
	Nodes    []view.NodeView
	Deed     deed
	Deeds    []deed
	Methods  []topology.Method
	Token    string
	Question string
}

// about reads which node a request is about; without one it is the pool.
func (s *server) about(r *http.Request) (choice, error) {
	m := s.pulse.now(r.Context())
	c := choice{Node: topology.NoNode, IsPool: true, Subject: "the whole pool", Nodes: m.view.Nodes,
		Methods: topology.Methods[1:]}
	text := r.FormValue("node")
	if text == "" || text == topology.NoNode.String() {
		return c, nil
	}
	id, err := strconv.Atoi(text)
	for i := range m.view.Nodes {
		if err == nil && int(m.view.Nodes[i].ID) == id {
			c.Node, c.IsPool, c.Subject, c.Now = m.view.Nodes[i].ID, false, "node "+text, &m.view.Nodes[i]
			return c, nil
		}
	}
	return c, fmt.Errorf("there is no node %q", text)
}

func (s *server) choose(w http.ResponseWriter, r *http.Request) {
	if s.guard.of(r) == nil {
		http.Redirect(w, r, "/login", http.StatusSeeOther)
		return
	}
	c, err := s.about(r)
	if err != nil {
		s.render(w, r, http.StatusNotFound, frame{Title: "repool"}, "notfound", err.Error())
		return
	}
	for _, d := range deeds {
		if !c.IsPool || !d.OfNode {
			c.Deeds = append(c.Deeds, d)
		}
	}
	s.render(w, r, http.StatusOK, frame{Title: "Act on " + c.Subject + " · repool"}, "choose", c)
}

// confirm shows what will be done, and asks once more.
func (s *server) confirm(w http.ResponseWriter, r *http.Request) {
	one := s.guard.of(r)
	if one == nil {
		http.Redirect(w, r, "/login", http.StatusSeeOther)
		return
	}
	c, err := s.about(r)
	if err == nil {
		c.Deed, err = deedOf(r.PathValue("do"), c.IsPool)
	}
	if err != nil {
		s.render(w, r, http.StatusNotFound, frame{Title: "repool"}, "notfound", err.Error())
		return
	}
	c.Token, c.Question = one.token, fmt.Sprintf("%s %s?", c.Deed.Title, c.Subject)
	s.render(w, r, http.StatusOK, frame{Title: c.Question + " · repool"}, "confirm", c)
}

func deedOf(do string, pool bool) (deed, error) {
	i := slices.IndexFunc(deeds, func(d deed) bool { return d.Do == do })
	if i < 0 || pool && deeds[i].OfNode {
		return deed{}, fmt.Errorf("%q cannot be done here", do)
	}
	return deeds[i], nil
}

func (s *server) perform(w http.ResponseWriter, r *http.Request, one *session) {
	c, err := s.about(r)
	if err == nil {
		c.Deed, err = deedOf(r.PathValue("do"), c.IsPool)
	}
	if err == nil {
		err = s.do(r, c, one.who)
	}
	message := fmt.Sprintf("%s: asked for, for %s.", c.Deed.Title, c.Subject)
	if err != nil {
		message = fmt.Sprintf("Not done: %v.", err)
		var refused *control.RefusedError
		if errors.As(err, &refused) {
			message = fmt.Sprintf("Not done (%s): %s.", refused.Code, refused.Msg)
			if refused.Hint != "" {
				message += " What helps: " + refused.Hint + "."
			}
		}
	}
	s.o.Log.Info("asked on the page", "kind", c.Deed.Do, "node", int(c.Node), "who", one.who, "err", err)
	s.guard.leave(r, message)
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

func (s *server) do(r *http.Request, c choice, who string) error {
	ctx, cancel := context.WithTimeout(r.Context(), 20*time.Second)
	defer cancel()
	why := reasonOf(r.FormValue("why"))
	switch c.Deed.Do {
	case "hold":
		q := control.HoldRequest{Node: c.Node, Who: who, Why: why}
		if text := r.FormValue("for"); text != "" {
			length, err := time.ParseDuration(text)
			if err != nil || length <= 0 {
				return fmt.Errorf("%q is no time such as 2h", text)
			}
			q.Until = time.Now().Add(length)
		}
		return s.o.Act.Hold(ctx, q)
	case "release":
		return s.o.Act.Release(ctx, c.Node, who)
	case "resync":
		return s.o.Act.Resync(ctx, control.ResyncRequest{Node: c.Node, Method: topology.Method(r.FormValue("method")),
			Who: who})
	case "attach":
		return s.o.Act.Attach(ctx, control.NodeRequest{Node: c.Node, Who: who, Why: why})
	default:
		return s.o.Act.Detach(ctx, control.NodeRequest{Node: c.Node, Who: who, Why: why})
	}
}

// reasonOf is why, in one line, of a length that fits.
func reasonOf(s string) string {
	s = strings.Join(strings.Fields(s), " ")
	if r := []rune(s); len(r) > 200 {
		s = string(r[:200])
	}
	return s
}
