package bootgate

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/test/fakes/virtual"
)

// node is a directory that can change while the gate waits.
type node struct {
	in  topology.Inspection
	err error
}

func primary() *node {
	return &node{in: topology.Inspection{Dir: topology.DirPresent, Server: topology.ServerStopped}}
}

// gate is one before the node, with what it says.
func gate(t *testing.T, n *node) (g *Gate, said *[]string) {
	t.Helper()
	said = new([]string)
	return &Gate{WorkDir: t.TempDir(),
		Look: func(context.Context) (topology.Inspection, error) { return n.in, n.err },
		Say:  func(why string) { *said = append(*said, why) }}, said
}

// wait is Wait in the background; done is closed after it.
func wait(ctx context.Context, g *Gate) (done chan struct{}, why *string, err *error) {
	done, why, err = make(chan struct{}), new(string), new(error)
	go func() {
		defer close(done)
		*why, *err = g.Wait(ctx)
	}()
	return done, why, err
}

func TestWhatGoesThroughAtOnce(t *testing.T) {
	for name, n := range map[string]*node{
		"a standby": {in: topology.Inspection{Dir: topology.DirPresent, Server: topology.ServerStopped,
			StandbySignal: true}},
		"a server that runs": {in: topology.Inspection{Dir: topology.DirPresent, Server: topology.ServerRunning}},
		"a server that is coming": {in: topology.Inspection{Dir: topology.DirPresent, Server: topology.ServerStarting,
			Source: topology.Source{Err: "not yet"}}},
	} {
		synctest.Test(t, func(t *testing.T) {
			g, said := gate(t, n)
			begun := time.Now()
			if why, err := g.Wait(t.Context()); err != nil || why == "" || time.Since(begun) != 0 || len(*said) != 0 {
				t.Errorf("%s: %q, %v after %s, said %q", name, why, err, time.Since(begun), *said)
			}
		})
	}
}

func TestWhatIsHeld(t *testing.T) {
	for name, n := range map[string]*node{
		"a primary": primary(),
		"a point in time": {in: topology.Inspection{Dir: topology.DirPresent, Server: topology.ServerStopped,
			RecoverySignal: true}},
		"no directory": {in: topology.Inspection{Dir: topology.DirMissing, Server: topology.ServerStopped}},
		"one under repair": {in: topology.Inspection{Dir: topology.DirInRepair, Server: topology.ServerStopped,
			StandbySignal: true}},
		"a server in it": {in: topology.Inspection{Dir: topology.DirInRepair, Server: topology.ServerRunning}},
		"one nobody can judge": {in: topology.Inspection{Dir: topology.DirPresent, Server: topology.ServerStopped,
			StandbySignal: true, Source: topology.Source{Err: "garbled"}}},
		"one nobody sees": {err: os.ErrPermission},
	} {
		synctest.Test(t, func(t *testing.T) {
			g, said := gate(t, n)
			ctx, cancel := context.WithTimeoutCause(t.Context(), time.Hour, errors.New("an hour has gone by"))
			defer cancel()
			if why, err := g.Wait(ctx); err == nil || !strings.Contains(err.Error(), "an hour has gone by") || len(*said) != 1 {
				t.Errorf("%s: %q, %v, said %q", name, why, err, *said)
			}
			if _, err := os.Stat(filepath.Join(g.WorkDir, heldFile)); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("%s: it is told of after its end: %v", name, err)
			}
		})
	}
}

// repool takes the directory away, and brings it home as a standby.
func TestRepairedNodeGoesThrough(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := primary()
		g, said := gate(t, n)
		done, why, err := wait(t.Context(), g)
		virtual.Sleep(time.Minute)
		n.in.Dir = topology.DirInRepair
		virtual.Sleep(time.Minute)
		n.in.Dir, n.in.StandbySignal = topology.DirPresent, true
		<-done
		if *err != nil || *why != "it is a standby" || len(*said) != 2 {
			t.Errorf("%q, %v, said %q", *why, *err, *said)
		}
	})
}

func TestPersonLetsItThrough(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, _ := gate(t, primary())
		alive := func(pid int) bool { return pid == os.Getpid() }
		if _, err := Allow(g.WorkDir, "ann", alive); !errors.Is(err, ErrNotHeld) {
			t.Errorf("before it is held: %v", err)
		}
		// A word of an earlier boot is none.
		if err := write(g.path(allowedFile), allowed{"bob", time.Now()}); err != nil {
			t.Fatal(err)
		}
		done, why, err := wait(t.Context(), g)
		virtual.Sleep(time.Minute)
		synctest.Wait()
		select {
		case <-done:
			t.Fatalf("%q, %v: bob's word was of another start", *why, *err)
		default:
		}
		if _, err := Allow(g.WorkDir, "ann", func(int) bool { return false }); !errors.Is(err, ErrNotHeld) {
			t.Errorf("its process is gone: %v", err)
		}
		if was, err := Allow(g.WorkDir, "ann", alive); err != nil || !strings.Contains(was, "as a primary") {
			t.Errorf("%q, %v", was, err)
		}
		<-done
		if *err != nil || *why != "allowed by ann" {
			t.Errorf("%q, %v", *why, *err)
		}
		if left, _ := filepath.Glob(filepath.Join(g.WorkDir, "*")); len(left) != 0 {
			t.Errorf("it leaves %q", left)
		}
	})
}

// A start that nobody can be told of is not allowed either.
func TestNoWorkDir(t *testing.T) {
	g, _ := gate(t, primary())
	g.WorkDir = filepath.Join(g.WorkDir, "none")
	if why, err := g.Wait(t.Context()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%q, %v", why, err)
	}
}
