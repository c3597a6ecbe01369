package dbhost

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/node/agent"
	"github.com/repool/repool/internal/node/journal"
	"github.com/repool/repool/internal/node/postgres"
	"github.com/repool/repool/internal/node/resync"
)

// lastRecord is a journal of one record.
type lastRecord struct{ journal.Record }

func (l *lastRecord) Put(r journal.Record) error {
	l.Record = r
	return nil
}

// engine runs a method by the engine, on this node's real directory and
// against that primary, as the node's agent would. died ends the run at a point
// as the death of the agent would; empty: never.
func (n *node) engine(m topology.Method, primary *node, log *lastRecord, died string) {
	n.t.Helper()
	req := topology.RunRequest{ID: fmt.Sprintf("r%d", log.Seq+1), Node: n.id, Method: m, Upstream: primary.upstream(),
		Slot: n.slot(), AppName: n.slot()}
	if p, err := n.ProbeWAL(n.t.Context(), req.Upstream.History); err == nil && p.Shared {
		req.ProvenTo, req.Streaming = min(p.Limit, p.End), p.Open // the pairs of these tests have one origin
		if p.Beyond {
			req.Divergence, req.DivergenceTLI = p.Limit, p.CommonTLI
		}
	}
	prior := resync.Prior{Record: log.Record}
	ctx, cancel := context.WithCancelCause(n.t.Context())
	defer cancel(nil)
	o := resync.Options{Host: n.Host, Log: log, Prior: prior, Patience: 20 * time.Second,
		Upstream:  agent.NewUpstream(postgres.Login{User: "postgres", DBName: "postgres"}),
		Clearance: func(context.Context, string) error { return nil }}
	if died == "" {
		resync.Run(ctx, o, req)
		return
	}
	// The goroutine is the agent: it stops at the point and never goes on.
	dead := make(chan struct{})
	ended := make(chan struct{})
	var once sync.Once
	o.Points = func(name string) {
		if name == died {
			once.Do(func() { close(dead) })
			<-n.t.Context().Done()
		}
	}
	go func() { resync.Run(ctx, o, req); close(ended) }()
	select {
	case <-ended:
		n.t.Fatalf("the run never came to %s: %+v", died, log.Run)
	case <-dead:
	}
	log.Record = resync.TakeOver(log.Record, n.Host, time.Now())
	n.reopen()
}

// mustRun runs a method that has to succeed.
func (n *node) mustRun(m topology.Method, primary *node, log *lastRecord) {
	n.t.Helper()
	n.engine(m, primary, log, "")
	if log.Run.Outcome != topology.RunDone {
		n.t.Fatalf("%s ended %s: %s (%s)\n%+v", m, log.Run.Outcome, log.Run.Error, log.Run.Hint, log.Run.Steps)
	}
	n.emptied()
}

// emptied has the trash emptied, as the agent does after the attach.
func (n *node) emptied() {
	n.t.Helper()
	if err := n.EmptyTrash(n.t.Context(), 0); err != nil {
		n.t.Fatal(err)
	}
}

// reopen makes a new Host of the same node, as an agent that starts does.
func (n *node) reopen() {
	n.t.Helper()
	h, err := New(n.o)
	if err != nil {
		n.t.Fatal(err)
	}
	n.Host = h
	n.t.Cleanup(h.Close)
}

// tree lists names below dir with kind, mode, owner, link target and hash.
func tree(t *testing.T, dir string, names ...string) string {
	t.Helper()
	var all strings.Builder
	for _, n := range names {
		err := filepath.WalkDir(filepath.Join(dir, n), func(path string, d fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			info, err := d.Info()
			if err != nil {
				return err
			}
			rel, err := filepath.Rel(dir, path)
			if err != nil {
				return err
			}
			owner := info.Sys().(*syscall.Stat_t)
			fmt.Fprintf(&all, "%s %s %d:%d", rel, info.Mode(), owner.Uid, owner.Gid)
			switch {
			case info.Mode()&fs.ModeSymlink != 0:
				text, err := os.Readlink(path)
				if err != nil {
					return err
				}
				fmt.Fprintf(&all, " -> %s", text)
			case info.Mode().IsRegular():
				fmt.Fprintf(&all, " %x", sha256.Sum256([]byte(readFile(t, path))))
			}
			all.WriteByte('\n')
			return nil
		})
		if err != nil {
			fmt.Fprintf(&all, "%s: %v\n", n, err)
		}
	}
	return all.String()
}

func symlink(t *testing.T, text, path string) {
	t.Helper()
	if err := os.Symlink(text, path); err != nil {
		t.Fatal(err)
	}
}
