package resync_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/repool/repool/internal/codes"
	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/node/journal"
	"github.com/repool/repool/internal/node/resync"
	"github.com/repool/repool/test/fakes/fakehost"
)

// memoryLog is a Log whose n-th Put fails.
type memoryLog struct {
	mu     sync.Mutex
	puts   int
	failAt int
	from   bool // and all after it
	last   journal.Record
}

func (l *memoryLog) Put(rec journal.Record) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.puts++
	if l.puts == l.failAt || l.from && l.puts > l.failAt {
		return errors.New("no space left on device")
	}
	l.last = rec
	return nil
}

func request(m topology.Method) topology.RunRequest {
	return topology.RunRequest{ID: "r", Method: m, Upstream: fakehost.UpstreamOf(), Slot: "repool_node0",
		Divergence: 0x5000000, DivergenceTLI: 1, ProvenTo: 0x5000000}
}

func cleared(context.Context, string) error { return nil }

// TestJournalFails is P4: when the journal cannot be written, what it should
// have announced does not happen, and what is on disk never says less than is
// true. Each write fails in turn, alone or with all that follow.
func TestJournalFails(t *testing.T) {
	t.Parallel()
	for _, m := range []topology.Method{topology.MethodAdopt, topology.MethodRewind, topology.MethodBaseBackup} {
		for _, from := range []bool{false, true} {
			for n := 1; ; n++ {
				over := false
				synctest.Test(t, func(t *testing.T) {
					w := fakehost.NewSolo(fakehost.CrashedPrimary(m != topology.MethodAdopt))
					log := &memoryLog{failAt: n, from: from}
					rec := resync.Run(t.Context(), resync.Options{Host: w, Upstream: w.Link(), Log: log, Clearance: cleared},
						request(m))
					for _, b := range w.Broken() {
						t.Errorf("%s, write %d: %s", m, n, b)
					}
					half := w.View().InRepair != nil && w.View().InRepair.Content != fakehost.Whole
					if half && (!log.last.Run.Damaged || !rec.Run.Damaged) {
						t.Errorf("%s, write %d: the directory is half done, the journal says %+v", m, n, log.last)
					}
					over = log.puts < n
				})
				if over {
					break
				}
			}
		}
	}
}

// streamer is a world whose server answers what the test wants.
type streamer struct {
	*fakehost.Solo
	facts func(since time.Duration) (topology.SQLFacts, error)
	begin time.Time
}

func (s *streamer) Stream(context.Context) (topology.SQLFacts, error) {
	return s.facts(time.Since(s.begin))
}

func (s *streamer) LogTail() string { return "FATAL: could not connect to the primary server" }

// TestSlotInUse is hazard 60: a node that does not stream because another session
// uses its slot says so, and a copy does not begin.
func TestSlotInUse(t *testing.T) {
	t.Parallel()
	for _, m := range []topology.Method{topology.MethodStart, topology.MethodBaseBackup} {
		synctest.Test(t, func(t *testing.T) {
			w := fakehost.NewSolo(fakehost.StoppedStandby())
			w.HoldSlot()
			o := resync.Options{Host: w, Upstream: w.Link(), Log: &memoryLog{}, Clearance: cleared}
			rec := resync.Run(t.Context(), o, request(m))
			if r := rec.Run; r.Code != codes.SlotHeld || !strings.Contains(r.Error, "process 4711") {
				t.Errorf("%s: %s: %s", m, r.Code, r.Error)
			}
			if v := w.View(); v.New != nil || v.Home == nil {
				t.Errorf("%s: %+v", m, v)
			}
		})
	}
}

// TestServerRefuses is hazard 59: what the server says of its own configuration is the run's failure.
func TestServerRefuses(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := fakehost.NewSolo(fakehost.StoppedStandby())
		w.Node.Refuses = true
		o := resync.Options{Host: w, Upstream: w.Link(), Log: &memoryLog{}, Clearance: cleared}
		rec := resync.Run(t.Context(), o, request(topology.MethodStart))
		if r := rec.Run; r.Code != codes.ServerConfig || !strings.Contains(r.Error, "plantuner") {
			t.Errorf("%s: %s", r.Code, r.Error)
		}
	})
}

// TestWaitStreaming is hazards 41, 42 and 44: judged by progress on the right
// stream, not by the clock and not by the server being up.
func TestWaitStreaming(t *testing.T) {
	t.Parallel()
	up := fakehost.UpstreamOf()
	right := topology.WALReceiver{Status: "streaming", SenderHost: up.Host, SenderPort: up.Port, Timeline: up.History.TLI}
	with := func(f func(*topology.WALReceiver)) topology.WALReceiver { r := right; f(&r); return r }
	standby := func(at topology.LSN, r topology.WALReceiver) (topology.SQLFacts, error) {
		return topology.SQLFacts{InRecovery: true, Replay: at, Receiver: r}, nil
	}
	tests := []struct {
		name  string
		facts func(time.Duration) (topology.SQLFacts, error)
		code  codes.Code // empty: it streams in the end
		after time.Duration
	}{
		{"at once", func(time.Duration) (topology.SQLFacts, error) { return standby(1, right) }, "", 0},
		{"after an hour of replay", func(d time.Duration) (topology.SQLFacts, error) {
			if d < time.Hour {
				return standby(topology.LSN(d), topology.WALReceiver{})
			}
			return standby(1, right)
		}, "", time.Hour},
		{"replay that stops", func(d time.Duration) (topology.SQLFacts, error) {
			return standby(topology.LSN(min(d, time.Minute)), topology.WALReceiver{})
		}, codes.NotStreaming, 70 * time.Second},
		{"up, and nothing else", func(time.Duration) (topology.SQLFacts, error) { return standby(1, topology.WALReceiver{}) },
			codes.NotStreaming, 10 * time.Second},
		{"no answer", func(time.Duration) (topology.SQLFacts, error) { return topology.SQLFacts{}, errors.New("refused") },
			codes.NotStreaming, 10 * time.Second},
		{"progress on another node's stream is none", func(d time.Duration) (topology.SQLFacts, error) {
			return standby(topology.LSN(d), with(func(r *topology.WALReceiver) { r.SenderPort++ }))
		}, codes.NotStreaming, 10 * time.Second},
		{"an older timeline, then the right one", func(d time.Duration) (topology.SQLFacts, error) {
			if d < 20*time.Second {
				return standby(topology.LSN(d), with(func(r *topology.WALReceiver) { r.Timeline = 1 }))
			}
			return standby(1, right)
		}, "", 20 * time.Second},
		{"replay behind a query", func(time.Duration) (topology.SQLFacts, error) {
			return topology.SQLFacts{InRecovery: true, Replay: 1, Startup: "RecoveryConflictSnapshot"}, nil
		}, codes.ReplayStalled, 10 * time.Second},
		{"one large record", func(d time.Duration) (topology.SQLFacts, error) {
			if d < 8*time.Second {
				return topology.SQLFacts{InRecovery: true, Replay: 1, Startup: "running"}, nil
			}
			return standby(1, right)
		}, "", 8 * time.Second},
		{"replay that is paused", func(time.Duration) (topology.SQLFacts, error) {
			return topology.SQLFacts{InRecovery: true, Replay: 1, ReplayPaused: true, Startup: "RecoveryPause"}, nil
		}, codes.ReplayPaused, 10 * time.Second},
		{"all replayed, and no stream", func(time.Duration) (topology.SQLFacts, error) {
			return topology.SQLFacts{InRecovery: true, Replay: 1, Startup: "RecoveryRetrieveRetryInterval"}, nil
		}, codes.NotStreaming, 10 * time.Second},
		{"a newer timeline", func(time.Duration) (topology.SQLFacts, error) {
			return standby(1, with(func(r *topology.WALReceiver) { r.Timeline = 3 }))
		}, codes.UpstreamChanged, 0},
		{"a primary", func(time.Duration) (topology.SQLFacts, error) { return topology.SQLFacts{}, nil },
			codes.ServerRunning, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := &streamer{Solo: fakehost.NewSolo(fakehost.StoppedStandby()), facts: tt.facts, begin: time.Now()}
				rec := resync.Run(t.Context(), resync.Options{Host: w, Upstream: w.Link(), Log: &memoryLog{}},
					request(topology.MethodStart))
				if tt.code == "" && rec.Run.Outcome != topology.RunDone || tt.code != "" && rec.Run.Code != tt.code {
					t.Errorf("%+v", rec.Run)
				}
				if took := time.Since(w.begin); took < tt.after || took > tt.after+time.Second {
					t.Errorf("took %s, want %s", took, tt.after)
				}
				if tt.code != "" && !strings.Contains(rec.Run.Error, w.LogTail()) {
					t.Errorf("no evidence from the log: %s", rec.Run.Error)
				}
			})
		})
	}
}

// TestProgress: bytes are shown at most every 250 ms, and the last ones stay.
func TestProgress(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := &copier{Solo: fakehost.NewSolo(nil)}
		log := &memoryLog{}
		var shown []uint64
		rec := resync.Run(t.Context(), resync.Options{Host: w, Upstream: w.Link(), Log: log, Clearance: cleared,
			See: func(st topology.RunState) {
				if st.Step() == "copy" && st.BytesDone > 0 && st.Steps[len(st.Steps)-1].Ended.IsZero() {
					shown = append(shown, st.BytesDone)
				}
			}}, request(topology.MethodBaseBackup))
		if rec.Run.Outcome != topology.RunDone || rec.Run.BytesDone != 10000 || rec.Run.BytesTotal != fakehost.DatabaseBytes {
			t.Errorf("%+v", rec.Run)
		}
		if len(shown) < 35 || len(shown) > 41 { // 10 s
			t.Errorf("%d states shown in ten seconds", len(shown))
		}
		if log.puts > 40 {
			t.Errorf("%d journal writes", log.puts)
		}
	})
}

// copier reports each of 10000 bytes, one a millisecond.
type copier struct{ *fakehost.Solo }

func (c *copier) BaseBackup(ctx context.Context, up topology.Upstream, slot string, see resync.Progress) error {
	err := c.Solo.BaseBackup(ctx, up, slot, func(uint64, uint64) {})
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for i := range uint64(10000) {
		<-tick.C
		see(i+1, 0)
	}
	return err
}

// TestPoints: names are unique and stable in form, and every method has some.
func TestPoints(t *testing.T) {
	t.Parallel()
	all := resync.AllPoints()
	if n := len(slices.Compact(slices.Sorted(slices.Values(all)))); n != len(all) {
		t.Errorf("%d points, %d names", len(all), n)
	}
	for _, want := range []string{"rewind:rewind:marked", "rewind:move-away:effect", "base-backup:copy:progress",
		"adopt:undo:before", "custom:end:after"} {
		if !slices.Contains(all, want) {
			t.Errorf("no point %s", want)
		}
	}
	if resync.PointsOf(topology.MethodAttach) != nil || resync.Supports(topology.MethodAttach) {
		t.Error("attach belongs to the controller")
	}
}

// TestStepOrder is what the promises rest on, read from the table itself.
func TestStepOrder(t *testing.T) {
	t.Parallel()
	before := func(m topology.Method, a, b string) {
		t.Helper()
		s := resync.Steps(m)
		if i, j := slices.Index(s, a), slices.Index(s, b); i < 0 || j < 0 || i >= j {
			t.Errorf("%s: %s must come before %s: %v", m, a, b, s)
		}
	}
	for _, m := range []topology.Method{topology.MethodRewind, topology.MethodBaseBackup} {
		harm := map[topology.Method]string{topology.MethodRewind: "rewind", topology.MethodBaseBackup: "copy"}[m]
		before(m, "ensure-slot", harm)             // hazard 37
		before(m, "stop-server", "move-away")      // hazard 54
		before(m, "move-away", "vault")            // nobody can write to what is saved
		before(m, "vault", harm)                   // P3
		before(m, harm, "restore-config")          // hazard 10
		before(m, "write-standby", "move-home")    // hazard 9
		before(m, "wait-streaming", "discard-old") // P5
	}
	before(topology.MethodRewind, "checkpoint-upstream", "rewind") // hazard 2
	before(topology.MethodRewind, "settle", "rewind")              // hazard 5
	before(topology.MethodAdopt, "move-away", "prove-on-line")
	before(topology.MethodAdopt, "prove-on-line", "write-standby")
}
