package hook

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/repool/repool/internal/config"
	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/exit"
	"github.com/repool/repool/internal/node/agentapi"
)

// pollEvery is how often a condition is polled that nothing announces.
const pollEvery = 10 * time.Millisecond

// Fencer is what a failover asks of an agent. An agentapi.Agent is one.
type Fencer interface {
	Acquire(ctx context.Context, holder string) (topology.Token, error)
	Fence(ctx context.Context, token topology.Token) (topology.Fenced, error)
	// Instructions are what people have told repool about the node.
	Instructions(ctx context.Context) (topology.Instructions, error)
}

var _ Fencer = agentapi.Agent(nil)

// Controller is what hooks ask of the controller; a control.Client is one.
type Controller interface {
	// Look asks for a pass now.
	Look(ctx context.Context, reason string) error
	// Recover resyncs a node and returns when it is proven; say is called with
	// progress for a person.
	Recover(ctx context.Context, node topology.NodeID, say func(string)) error
	// Resync gives consent to a resync of the node, and returns.
	Resync(ctx context.Context, node topology.NodeID) error
	// Checkpoint asks for a checkpoint on the node, and returns.
	Checkpoint(ctx context.Context, node topology.NodeID) error
}

// Limits bound what a hook waits for. A zero field is its default.
type Limits struct {
	Probe      time.Duration // for one node's answer; 2 s
	FenceDead  time.Duration // for fencing an old primary that does not answer; 3 s
	FenceAlive time.Duration // for fencing one that is alive; 30 s
	Promote    time.Duration // for one node's promotion; 60 s
	Lock       time.Duration // for another hook's failover; 90 s
	Poke       time.Duration // for the controller to accept a request to look; 200 ms
	Diverged   time.Duration // for stopping diverged standbys; 5 s
}

func (l Limits) filled() Limits {
	for _, f := range []struct {
		d   *time.Duration
		def time.Duration
	}{
		{&l.Probe, 2 * time.Second}, {&l.FenceDead, 3 * time.Second}, {&l.FenceAlive, 30 * time.Second},
		{&l.Promote, time.Minute}, {&l.Lock, 90 * time.Second}, {&l.Poke, 200 * time.Millisecond},
		{&l.Diverged, 5 * time.Second},
	} {
		if *f.d <= 0 {
			*f.d = f.def
		}
	}
	return l
}

// Deps is all that a hook works with.
type Deps struct {
	Pool *config.Pool
	// Dial connects to a node; DialSQL(pool) is the real one.
	Dial func(ctx context.Context, node topology.NodeID) (Server, error)
	// Agent gives the agent of a node, or an error where none is known.
	Agent func(node topology.NodeID) (Fencer, error)
	// Held says whether the node is on hold by what the controller on this host knows; an
	// error: unknown. nil: no node is. The node's own agent is asked besides.
	Held func(node topology.NodeID) (bool, error)
	// Control is the controller; it need not be running.
	Control Controller
	// Out is standard error, which goes to Pgpool-II's log.
	Out    io.Writer
	Limits Limits
}

// DialSQL connects to the pool's nodes as the configured database role.
func DialSQL(pool *config.Pool) func(context.Context, topology.NodeID) (Server, error) {
	return func(ctx context.Context, id topology.NodeID) (Server, error) {
		n := pool.Node(id)
		if n == nil {
			return nil, fmt.Errorf("node %s is not in pgpool.conf", id)
		}
		conn, err := pool.Database.Connect(ctx, n.Host, n.Port, session)
		if err != nil {
			return nil, err
		}
		return &sqlServer{conn: conn}, nil
	}
}

// Result is how a hook ended.
type Result struct {
	Code Code `json:"code"`
	// Node is the primary after a failover, else the node in question.
	Node topology.NodeID `json:"node"`
	// Text says it in one line for a person.
	Text string `json:"text"`
	// Notes are further facts for a person.
	Notes []string      `json:"notes,omitempty"`
	Took  time.Duration `json:"took_ns"`
}

// refusals gives the exit status of each code that is an error.
var refusals = map[Code]int{
	CodeNoCandidate: exit.Unreachable, CodeWrongLine: exit.Refused, CodeLineUnclear: exit.Refused,
	CodeSystemUnclear: exit.Refused, CodeNotFenced: exit.Refused, CodeUnconfirmed: exit.Unfinished,
	CodeSynchronousMissing: exit.Refused, CodeTooFewAnswers: exit.Refused, CodeTooFarBehind: exit.Refused,
	CodeBusy: exit.Unfinished, CodeStarting: exit.Unfinished,
}

// err is nil if the result leaves nothing to do.
func (r Result) err() error {
	status, bad := refusals[r.Code]
	if !bad {
		return nil
	}
	return exit.With(status, fmt.Errorf("not promoted (%s): %s", r.Code, r.Text),
		"the event stays in the spool for the controller to resume; repool status shows the nodes")
}

func (d *Deps) stateDir() string { return d.Pool.Controller.StateDir }

// say writes one line to Pgpool-II's log, even if an error has several.
func (d *Deps) say(format string, args ...any) {
	if d.Out != nil {
		fmt.Fprintln(d.Out, "repool:", strings.Join(strings.Fields(fmt.Sprintf(format, args...)), " "))
	}
}

// poke tells the controller to look now. It is no error if none is running: it
// looks by itself when it starts.
func (d *Deps) poke(ctx context.Context, reason string, limit time.Duration) {
	if d.Control == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	if err := d.Control.Look(ctx, reason); err != nil {
		d.say("could not notify the controller (it looks by itself when it runs): %v", err)
	}
}

// journal adds one line to hooks.log, the record of what was called.
func (d *Deps) journal(e Event, r Result, err error) {
	line := struct {
		At     time.Time `json:"at"`
		Event  Event     `json:"event"`
		Result Result    `json:"result"`
		Error  string    `json:"error,omitempty"`
	}{At: time.Now(), Event: e, Result: r}
	if err != nil {
		line.Error = err.Error()
	}
	text, jerr := json.Marshal(line)
	if jerr == nil {
		jerr = appendFile(filepath.Join(d.stateDir(), "hooks.log"), append(text, '\n'))
	}
	if jerr != nil {
		d.say("hooks.log: %v", jerr)
	}
}

// maxLog is the size at which hooks.log becomes hooks.log.1.
const maxLog = 10 << 20

func appendFile(path string, text []byte) error {
	if info, err := os.Stat(path); err == nil && info.Size() > maxLog {
		if err := os.Rename(path, path+".1"); err != nil {
			return err
		}
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	if _, err := f.Write(text); err != nil {
		_ = f.Close() // the write's error says it
		return err
	}
	return f.Close()
}
