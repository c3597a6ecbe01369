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

// Actor does what a person requests. What would break a promise is refused with a
// *control.RefusedError.
type Actor interface {
	Hold(ctx context.Context, r control.HoldRequest) error
	Release(ctx context.Context, node topology.NodeID, who string) error
	Resync(ctx context.Context, r control.ResyncRequest) error
	// Attach removes what keeps a node from being attached: a hold, or a policy that
	// asks a person first. The gate still decides.
	Attach(ctx context.Context, r control.NodeRequest) error
	// Detach puts a standby on hold and has it detached; never the primary.
	Detach(ctx context.Context, r control.NodeRequest) error
}

// deed is one thing that a person can request.
type deed struct {
	Do, Title string
	// Says is what will happen, in a sentence or two.
	Says   string
	OfNode bool // for one node only, not for the pool
}

var deeds = []deed{
	{"resync", "Resync", "Consents to a resync and releases a parked node. Every safety check still applies;" +
		" commits that only this node has are saved first.", true},
	{"hold", "Hold", "repool keeps watching but does nothing: no resync, attach, detach or fence." +
		" A run in progress continues to its end.", false},
	{"release", "Release", "Ends a hold, and lets repool try again if it has given up.", false},
	{"attach", "Attach", "Ends a hold on the node and consents to attaching it." +
		" It is attached only after it has passed every check.", true},
	{"detach", "Detach", "Puts the standby on hold and detaches it: Pgpool-II routes no more sessions to it" +
		" and disconnects those that use it now.", true},
}

// maxForm bounds what a form may hold.
const maxForm = 16 << 10

// actions serves login and deeds. Every request that changes something must come
// from this site (CrossOriginProtection) and a session, with its token.
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
		s.o.Log.Error("login could not be checked", "err", err)
	}
	if !good {
		s.o.Log.Warn("login refused", "code", "wrong-password", "from", from)
		s.loginForm(w, r, http.StatusForbidden, "Wrong password or token.")
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
		return "someone on the page"
	}
	return clean + " on the page"
}

// withSession passes only requests with a session and its token.
func (s *server) withSession(h func(http.ResponseWriter, *http.Request, *session)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		one := s.guard.of(r)
		switch {
		case one == nil:
			http.Redirect(w, r, "/login", http.StatusSeeOther)
		case !equal(r.PostFormValue("token"), one.token):
			http.Error(w, "this form belongs to another session; go back and reload the page", http.StatusForbidden)
		default:
			h(w, r, one)
		}
	}
}

// choice is the data of the actions' templates.
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

// about reads which node a request concerns; none: the pool.
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

// confirm shows what will be done, and asks for confirmation.
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
		return deed{}, fmt.Errorf("there is no action %q here", do)
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
	message := fmt.Sprintf("%s requested for %s.", c.Deed.Title, c.Subject)
	if err != nil {
		message = fmt.Sprintf("Not done: %v.", err)
		var refused *control.RefusedError
		if errors.As(err, &refused) {
			message = fmt.Sprintf("Not done (%s): %s.", refused.Code, refused.Msg)
			if refused.Hint != "" {
				message += " To fix it: " + refused.Hint + "."
			}
		}
	}
	s.o.Log.Info("requested on the page", "kind", c.Deed.Do, "node", int(c.Node), "who", one.who, "err", err)
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
				return fmt.Errorf("%q is not a duration such as 2h", text)
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

// reasonOf is why, in one line of bounded length.
func reasonOf(s string) string {
	s = strings.Join(strings.Fields(s), " ")
	if r := []rune(s); len(r) > 200 {
		s = string(r[:200])
	}
	return s
}
