package agentapi

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"syscall"
	"time"

	"connectrpc.com/connect"

	"github.com/repool/repool/internal/core/topology"
)

// DialUnix reaches an agent on a unix socket of this host. Nothing is opened
// before the first call.
func DialUnix(path string, expect *Expect) Agent {
	tr := &http.Transport{
		MaxIdleConns:    2,
		IdleConnTimeout: time.Minute,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "unix", path)
		},
	}
	return newClient(path, tr, expect)
}

// newClient speaks the contract over rt; where names the agent in messages.
func newClient(where string, rt http.RoundTripper, expect *Expect) *client {
	const url = "http://agent"
	h := &http.Client{Transport: &handshake{next: rt, expect: expect}}
	return &client{
		where: where, close: h.CloseIdleConnections,
		inspect:      callInspect.client(h, url),
		probeWAL:     callProbeWAL.client(h, url),
		recordEnding: callRecordEnding.client(h, url),
		run:          callRun.client(h, url),
		vault:        callVault.client(h, url),
		vaultReport:  callVaultReport.client(h, url),
		acquire:      callAcquire.client(h, url),
		startRun:     callStartRun.client(h, url),
		watch:        callWatch.client(h, url),
		clear:        callClear.client(h, url),
		cancel:       callCancel.client(h, url),
		fence:        callFence.client(h, url),
		dropSlots:    callDropSlots.client(h, url),
		instructions: callInstructions.client(h, url),
		instruct:     callInstruct.client(h, url),
	}
}

type client struct {
	where string
	close func()
	// peer is whose certificate the far side has shown; nil: not over TLS.
	peer func() (name string, notAfter time.Time)

	inspect      *connect.Client[empty, topology.Inspection]
	probeWAL     *connect.Client[probeRequest, topology.WALProbe]
	recordEnding *connect.Client[recordRequest, topology.WALRecord]
	run          *connect.Client[idRequest, topology.RunState]
	vault        *connect.Client[empty, vaultResponse]
	vaultReport  *connect.Client[idRequest, reportResponse]
	acquire      *connect.Client[acquireRequest, acquireResponse]
	startRun     *connect.Client[topology.RunRequest, empty]
	watch        *connect.Client[idRequest, topology.RunState]
	clear        *connect.Client[clearRequest, empty]
	cancel       *connect.Client[cancelRequest, empty]
	fence        *connect.Client[fenceRequest, topology.Fenced]
	dropSlots    *connect.Client[slotsRequest, slotsResponse]
	instructions *connect.Client[empty, topology.Instructions]
	instruct     *connect.Client[topology.Instruction, topology.Instructions]
}

// Close ends the connections, and an ssh that carries them. Calls made later
// open new ones.
func (c *client) Close() error {
	c.close()
	return nil
}

// ask makes one call.
func ask[Req, Res any](ctx context.Context, c *client, rpc *connect.Client[Req, Res], req Req) (Res, error) {
	res, err := rpc.CallUnary(ctx, connect.NewRequest(&req))
	if err != nil {
		var none Res
		return none, c.err(err)
	}
	return *res.Msg, nil
}

// kindError is an error from the far side that errors.Is recognises.
type kindError struct {
	msg   string
	kinds []error
}

func (e *kindError) Error() string   { return e.msg }
func (e *kindError) Unwrap() []error { return e.kinds }

// noAnswer is said of an agent that is silent.
const noAnswer = "no answer in time"

// causeOf is why the agent was not reached, once: the address stands before it.
func causeOf(ce *connect.Error) string {
	var dns *net.DNSError
	var op *net.OpError
	switch {
	case connect.IsWireError(ce): // the agent's own words
	case ce.Code() == connect.CodeDeadlineExceeded:
		return noAnswer
	case errors.As(ce, &dns):
		return "the host name " + dns.Name + " cannot be resolved: " + dns.Err
	case errors.As(ce, &op) && op.Op == "dial" && errors.Is(op, syscall.ENOENT):
		return "there is no such socket"
	case errors.As(ce, &op) && op.Op == "dial" && !op.Timeout():
		return strings.TrimPrefix(op.Err.Error(), "connect: ")
	case errors.As(ce, &op) && op.Op == "dial":
		return noAnswer
	}
	return ce.Message()
}

// err turns an error of the transport into one of the contract, or into one
// that names the agent.
func (c *client) err(err error) error {
	var ce *connect.Error
	if err == nil || !errors.As(err, &ce) {
		return err
	}
	e := &kindError{msg: causeOf(ce)}
	for _, k := range errorKinds {
		if slices.Contains(ce.Meta().Values(errorHeader), k.name) {
			e.kinds = append(e.kinds, k.err)
		}
	}
	if len(e.kinds) > 0 {
		return e
	}
	e.kinds = []error{ce}
	switch code := ce.Code(); {
	case code == connect.CodeCanceled:
		e.kinds = []error{context.Canceled}
	case code == connect.CodeDeadlineExceeded:
		e.kinds = []error{context.DeadlineExceeded}
	case errors.Is(ce, errNotAgent):
		e.msg = errNotAgent.Error()
	case code == connect.CodeUnavailable && e.msg != noAnswer:
		e.msg = "no answer: " + e.msg
	case code == connect.CodeUnimplemented:
		e.msg, e.kinds = "it is of an older release and does not know the call", []error{ErrUnknownCall}
	case code == connect.CodeInvalidArgument: // one side's codec refuses the message
		if connect.IsWireError(ce) {
			e.msg, e.kinds = "the agent does not understand the request: "+e.msg, []error{ErrRefused}
		} else {
			e.msg = "it sent an invalid response: " + e.msg
		}
	}
	e.msg = fmt.Sprintf("agent at %s: %s", c.where, e.msg)
	return e
}

func (c *client) Inspect(ctx context.Context) (topology.Inspection, error) {
	return ask(ctx, c, c.inspect, empty{})
}

func (c *client) ProbeWAL(ctx context.Context, primary topology.History) (topology.WALProbe, error) {
	return ask(ctx, c, c.probeWAL, probeRequest{primary})
}

func (c *client) RecordEnding(ctx context.Context, lsn topology.LSN) (topology.WALRecord, error) {
	return ask(ctx, c, c.recordEnding, recordRequest{lsn})
}

func (c *client) Run(ctx context.Context, id string) (topology.RunState, error) {
	return ask(ctx, c, c.run, idRequest{id})
}

func (c *client) Vault(ctx context.Context) ([]topology.VaultEntry, error) {
	res, err := ask(ctx, c, c.vault, empty{})
	return res.Entries, err
}

func (c *client) VaultReport(ctx context.Context, id string) ([]byte, error) {
	res, err := ask(ctx, c, c.vaultReport, idRequest{id})
	return res.Report, err
}

func (c *client) Acquire(ctx context.Context, holder string) (topology.Token, error) {
	res, err := ask(ctx, c, c.acquire, acquireRequest{holder})
	return res.Token, err
}

func (c *client) StartRun(ctx context.Context, req topology.RunRequest) error {
	_, err := ask(ctx, c, c.startRun, req)
	return err
}

func (c *client) Watch(ctx context.Context, id string, see func(topology.RunState)) error {
	stream, err := c.watch.CallServerStream(ctx, connect.NewRequest(&idRequest{id}))
	if err != nil {
		return c.err(err)
	}
	ended := false
	for stream.Receive() {
		st := *stream.Msg()
		see(st)
		ended = st.Outcome.Ended()
	}
	err = stream.Err()
	_ = stream.Close() // whatever it says of the connection, all states have been seen
	if err != nil {
		return c.err(err)
	}
	if !ended {
		return fmt.Errorf("agent at %s ended the watch before the run ended", c.where)
	}
	return nil
}

func (c *client) Clear(ctx context.Context, token topology.Token, id, step string) error {
	_, err := ask(ctx, c, c.clear, clearRequest{token, id, step})
	return err
}

func (c *client) Cancel(ctx context.Context, token topology.Token, id string) error {
	_, err := ask(ctx, c, c.cancel, cancelRequest{token, id})
	return err
}

func (c *client) Fence(ctx context.Context, token topology.Token) (topology.Fenced, error) {
	return ask(ctx, c, c.fence, fenceRequest{token})
}

func (c *client) DropSlots(ctx context.Context, token topology.Token, names []string) ([]string, error) {
	res, err := ask(ctx, c, c.dropSlots, slotsRequest{token, names})
	return res.Dropped, err
}

func (c *client) Instructions(ctx context.Context) (topology.Instructions, error) {
	return ask(ctx, c, c.instructions, empty{})
}

func (c *client) Instruct(ctx context.Context, i topology.Instruction) (topology.Instructions, error) {
	return ask(ctx, c, c.instruct, i)
}
