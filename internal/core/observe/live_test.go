package observe

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/node/postgres"
	"github.com/repool/repool/lab"
)

// liveProber asks node i of a lab as that role, over the lab's socket.
func liveProber(t *testing.T, l *lab.Lab, i int, role string) *SQLProber {
	t.Helper()
	p, err := NewSQLProber(postgres.Login{User: role, SSLMode: "disable"}, l.Nodes[i].Host, l.Nodes[i].Port)
	if err != nil {
		t.Fatal(err)
	}
	p.conf.Password = l.Passwords[role]
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = p.Close(ctx) // the lab may be down by now
	})
	return p
}

// probe asks once, with the Observer's deadline.
func probe(ctx context.Context, p *SQLProber) topology.SQLFacts {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	return p.Probe(ctx)
}

func TestLivePool(t *testing.T) {
	t.Parallel()
	if missing := lab.MissingPrograms(); len(missing) > 0 {
		t.Fatalf("cannot make a pool without %v: run make deps", missing)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	l, err := lab.Up(ctx, lab.Options{Standbys: 1, Log: t.Output()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Down(context.Background()); err != nil {
			t.Error(err)
		}
	})
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	primary, standby := liveProber(t, l, 0, "repool"), liveProber(t, l, 1, "repool")
	livePair(t, ctx, l, primary, standby)
	liveWithoutMonitor(t, ctx, l)
	liveView(t, ctx, l)

	// The kept connection ends with the server, and the first answer after says
	// that the server is gone, not that a connection has broken.
	must(l.KillNode(ctx, 1))
	if f := probe(ctx, standby); f.OK() || !f.Refused {
		t.Errorf("a killed server: %+v", f.Source)
	}
	must(l.StartNode(ctx, 1))
	must(lab.WaitFor(ctx, "the standby to answer again", func(ctx context.Context) error {
		if f := probe(ctx, standby); !f.OK() {
			return errors.New(f.Err)
		}
		return nil
	}))

	must(l.Freeze(ctx, 1))
	begun := time.Now()
	fctx, fcancel := context.WithTimeout(ctx, time.Second)
	f := standby.Probe(fctx)
	fcancel()
	if f.OK() || f.Refused || time.Since(begun) > 4*time.Second {
		t.Errorf("a frozen server, after %s: %+v, refused %v", time.Since(begun), f.Source, f.Refused)
	}
	must(l.Thaw(ctx, 1))
	if f := probe(ctx, standby); !f.OK() {
		t.Errorf("after the thaw: %+v", f.Source)
	}

	must(l.KillNode(ctx, 0))
	must(l.PromoteByHand(ctx, 1))
	if f := probe(ctx, standby); !f.OK() || f.InRecovery || f.Timeline != 2 || f.Current == 0 || f.Receiver.Status != "" {
		t.Errorf("after its promotion: %+v", f)
	}
}

func livePair(t *testing.T, ctx context.Context, l *lab.Lab, primary, standby *SQLProber) {
	t.Helper()
	p, s := probe(ctx, primary), probe(ctx, standby)
	if !p.OK() || p.InRecovery || p.SystemID == 0 || p.Timeline != 1 || p.Current == 0 || p.Version < 130000 ||
		p.DatabaseBytes == 0 {
		t.Errorf("primary: %+v", p)
	}
	if len(p.Senders) != 1 || p.Senders[0].State != "streaming" || p.Senders[0].Replay == 0 || len(p.Slots) != 1 ||
		!p.Slots[0].Active || !p.Slots[0].Physical || p.Slots[0].Restart == 0 {
		t.Errorf("primary's senders and slots: %+v, %+v", p.Senders, p.Slots)
	}
	if !s.OK() || !s.InRecovery || s.SystemID != p.SystemID || s.Timeline != 1 || s.Replay == 0 || s.Receive == 0 ||
		s.Current != 0 {
		t.Errorf("standby: %+v", s)
	}
	r := s.Receiver
	if r.Status != "streaming" || r.SenderPort != l.Nodes[0].Port || r.SenderHost != l.Nodes[0].Host ||
		r.Timeline != 1 || r.Slot == "" {
		t.Errorf("standby's receiver: %+v", r)
	}
	if s.Settings["max_connections"] == "" || len(s.Settings) != len(watched) {
		t.Errorf("settings: %v", s.Settings)
	}
	for name, value := range s.Settings {
		for role, password := range l.Passwords {
			if strings.Contains(value, password) {
				t.Errorf("P10: setting %s shows the password of %s", name, role)
			}
		}
	}
	before := standby.conn
	if again := probe(ctx, standby); !again.OK() || standby.conn != before {
		t.Errorf("the connection is not kept: %+v", again.Source)
	}
}

// liveWithoutMonitor: PostgreSQL hides receivers and senders from such a role,
// which must not read as "it does not stream".
func liveWithoutMonitor(t *testing.T, ctx context.Context, l *lab.Lab) {
	t.Helper()
	for i := range l.Nodes {
		f := probe(ctx, liveProber(t, l, i, "app"))
		if f.OK() || f.Refused || !strings.Contains(f.Err, `GRANT pg_monitor TO "app"`) {
			t.Errorf("node %d as a role without pg_monitor: %+v", i, f.Source)
		}
	}
	wrong := liveProber(t, l, 0, "app")
	wrong.conf.Password = "not-this-one"
	if f := probe(ctx, wrong); f.OK() || f.Refused || strings.Contains(f.Err, "not-this-one") ||
		strings.Contains(f.Err, "\n") {
		t.Errorf("a wrong password: %+v", f.Source)
	}
}

func liveView(t *testing.T, ctx context.Context, l *lab.Lab) {
	t.Helper()
	ids := []topology.NodeID{0, 1}
	v := NewPCPReader(l.PCP(0), ids).View(ctx)
	if !v.OK() || v.Primary != 0 || len(v.Nodes) != 2 || !v.Nodes[0].Attached() || !v.Nodes[1].Attached() ||
		v.Watchdog.Enabled || !v.Watchdog.MayAct() {
		t.Errorf("view: %+v", v)
	}
	if v := NewPCPReader(l.PCP(0), append(ids, 7)).View(ctx); v.OK() || len(v.Nodes) != 0 ||
		v.Primary != topology.NoNode || !strings.Contains(v.Err, "node 7") {
		t.Errorf("a view with a node that is not there: %+v", v)
	}
	d := NewPCPReader(l.PCP(0), ids).Detail(ctx)
	p := d.Processes
	if !d.OK() || p.Free+p.Idle+p.IdleInTransaction+p.Active != 20 || len(d.Nodes) != 2 || d.Nodes[1].Weight != 0.5 ||
		!d.Nodes[1].DelayKnown {
		t.Errorf("detail: %+v", d)
	}
	wrong := l.PCP(0)
	wrong.Password = "not-this-one"
	if v := NewPCPReader(wrong, ids).View(ctx); v.OK() || strings.Contains(v.Err, "not-this-one") {
		t.Errorf("a wrong password: %+v", v)
	}
	wrong.Port = 1
	if v := NewPCPReader(wrong, ids).View(ctx); v.OK() || v.At.IsZero() || v.Primary != topology.NoNode {
		t.Errorf("nobody listens: %+v", v)
	}
}

func TestCloseDoesNotWaitForASilentServer(t *testing.T) {
	t.Parallel()
	p, err := NewSQLProber(postgres.Login{User: "x", DBName: "x"}, "/nowhere", 1)
	if err != nil {
		t.Fatal(err)
	}
	p.turn <- struct{}{} // a question is under way
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if err := p.Close(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("close: %v", err)
	}
	if f := p.Probe(ctx); f.OK() || f.At.IsZero() {
		t.Errorf("probe: %+v", f.Source)
	}
	<-p.turn
	if f := p.Probe(t.Context()); f.OK() || !f.Refused {
		t.Errorf("no socket there: %+v, refused %v", f.Source, f.Refused)
	}
	if err := p.Close(t.Context()); err != nil {
		t.Error(err)
	}
}
