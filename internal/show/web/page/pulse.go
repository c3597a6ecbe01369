package page

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/repool/repool/internal/show/event"
	"github.com/repool/repool/internal/show/view"
)

const (
	// beat is how often a follower looks for something new.
	beat = 250 * time.Millisecond
	// stillEvery is how often the page is rendered while no pass ends: only ages
	// change then.
	stillEvery = time.Second
	// quietEvery is how often a follower is told that the connection is alive.
	quietEvery = 10 * time.Second
	// pastDeadline bounds the wait for the history: its disk may be slow.
	pastDeadline = time.Second

	lastEvents = 60
	lastRuns   = 300
)

// sections are the parts of the page that are sent when they change.
var sections = []string{"s-head", "s-alarms", "s-picture", "s-work", "s-nodes", "s-events", "s-vault", "s-foot"}

// moment is the page as it is now, rendered once for all readers.
type moment struct {
	view view.View
	data *data
	html map[string]string
	// since is the number of the moment in which each section last changed.
	since map[string]uint64
	n     uint64
}

// data is the page's template data.
type data struct {
	*view.View
	Shown, More  []view.Alarm
	Wide, Narrow view.Picture
	Days         []dayOf
	Actions      bool
}

type dayOf struct {
	At     time.Time
	Events []view.Event
}

// pulse makes moments, no faster than the beat.
type pulse struct {
	s *server

	mu   sync.Mutex
	last *moment
	pass uint64
	at   time.Time
	past view.Past
}

// now gives the newest moment.
func (p *pulse) now(ctx context.Context) *moment {
	p.mu.Lock()
	defer p.mu.Unlock()
	st := p.s.o.Source.Status()
	age := time.Since(p.at)
	if p.last != nil && (age < beat/2 || st.Pass == p.pass && age < stillEvery) {
		return p.last
	}
	if p.last == nil || st.Pass != p.pass {
		p.past = p.s.readPast(ctx)
	}
	now := time.Now()
	m := &moment{view: view.Of(st, p.past, now), html: map[string]string{}, since: map[string]uint64{}, n: 1}
	m.data = dataOf(&m.view, p.s.guard != nil)
	if p.last != nil {
		m.n = p.last.n + 1
	}
	for _, id := range sections {
		var b bytes.Buffer
		if err := p.s.tmpl.ExecuteTemplate(&b, id, m.data); err != nil {
			p.s.o.Log.Error("page not rendered", "page", id, "err", err)
			continue
		}
		m.html[id], m.since[id] = b.String(), m.n
		if p.last != nil && p.last.html[id] == b.String() {
			m.since[id] = p.last.since[id]
		}
	}
	p.last, p.pass, p.at = m, st.Pass, now
	return m
}

// readPast asks the history; if it does not answer, the last answer is used.
func (s *server) readPast(ctx context.Context) view.Past {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), pastDeadline)
	defer cancel()
	events, err := s.o.Source.History(ctx, event.Filter{Limit: lastEvents})
	var runs []event.Event
	if err == nil {
		runs, err = s.o.Source.History(ctx, event.Filter{Kind: "run", Limit: lastRuns})
	}
	past := view.Past{Events: events, Runs: runs}
	if err != nil {
		past = s.pulse.past
		past.Err = err.Error()
	}
	return past
}

// alarmsShown is how many alarms stand above the picture.
const alarmsShown = 5

func dataOf(v *view.View, actions bool) *data {
	d := &data{View: v, Shown: v.Alarms, Wide: view.Wide(v), Narrow: view.Narrow(v), Actions: actions}
	if len(v.Alarms) > alarmsShown+1 {
		d.Shown, d.More = v.Alarms[:alarmsShown], v.Alarms[alarmsShown:]
	}
	for _, e := range v.Events {
		day := e.At.UTC().Truncate(24 * time.Hour)
		if n := len(d.Days); n == 0 || !d.Days[n-1].At.UTC().Truncate(24*time.Hour).Equal(day) {
			d.Days = append(d.Days, dayOf{At: e.At})
		}
		last := &d.Days[len(d.Days)-1]
		last.Events = append(last.Events, e)
	}
	return d
}

// follow sends the sections that have changed, as server-sent events.
func (s *server) follow(w http.ResponseWriter, r *http.Request) {
	select {
	case s.followers <- struct{}{}:
		defer func() { <-s.followers }()
	default:
		http.Error(w, "too many followers", http.StatusServiceUnavailable)
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("X-Accel-Buffering", "no") // a proxy in front must not wait for more
	tick := time.NewTicker(beat)
	defer tick.Stop()
	var seen uint64
	sent := time.Now()
	for {
		m := s.pulse.now(r.Context())
		name, changed := "view", m.after(seen)
		if seen = m.n; len(changed) == 0 && time.Since(sent) > quietEvery {
			name = "beat"
		}
		if len(changed) > 0 || name == "beat" {
			if send(w, name, changed) != nil {
				return // the peer has gone
			}
			sent = time.Now()
		}
		select {
		case <-r.Context().Done():
			return
		case <-tick.C:
		}
	}
}

// after are the sections that have changed since the nth moment.
func (m *moment) after(n uint64) map[string]string {
	changed := map[string]string{}
	for id, since := range m.since {
		if since > n {
			changed[id] = m.html[id]
		}
	}
	return changed
}

func send(w http.ResponseWriter, name string, v any) error {
	letGo(w)
	b, err := json.Marshal(v)
	if err == nil {
		_, err = fmt.Fprintf(w, "event: %s\ndata: %s\n\n", name, b)
	}
	if err == nil {
		err = http.NewResponseController(w).Flush()
	}
	return err
}
