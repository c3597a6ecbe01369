package agentapi

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"

	"github.com/repool/repool/internal/core/topology"
	pb "github.com/repool/repool/internal/node/agentapi/agentv1"
	"github.com/repool/repool/internal/node/agentapi/agentv1/agentv1connect"
)

// connectMessage is what the generated messages are to the converters.
type connectMessage = proto.Message

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
	return newClient(path, "http://agent", tr, expect)
}

// newClient speaks the contract over rt; where names the agent in messages.
func newClient(where, url string, rt http.RoundTripper, expect *Expect) *client {
	h := &http.Client{Transport: &handshake{next: rt, expect: expect}}
	return &client{where: where, rpc: agentv1connect.NewAgentServiceClient(h, url, connect.WithReadMaxBytes(64<<20)), close: h.CloseIdleConnections}
}

type client struct {
	where string
	rpc   agentv1connect.AgentServiceClient
	close func()
	// peer is whose certificate the far side has shown; nil: not over TLS.
	peer func() (name string, notAfter time.Time)
}

// Close ends the connections, and an ssh that carries them. Calls made later
// make new ones.
func (c *client) Close() error {
	c.close()
	return nil
}

// kindError is an error from the far side that errors.Is recognises.
type kindError struct {
	msg   string
	kinds []error
}

func (e *kindError) Error() string   { return e.msg }
func (e *kindError) Unwrap() []error { return e.kinds }

// err turns a transport's error into one of the contract, or into one that
// says which agent did not answer as it should.
func (c *client) err(err error) error {
	var ce *connect.Error
	if err == nil || !errors.As(err, &ce) {
		return err
	}
	e := &kindError{msg: ce.Message()}
	for _, k := range errorKinds {
		if slices.Contains(ce.Meta().Values(errorHeader), k.name) {
			e.kinds = append(e.kinds, k.err)
		}
	}
	if len(e.kinds) > 0 {
		return e
	}
	e.kinds = []error{ce}
	switch ce.Code() {
	case connect.CodeCanceled:
		e.kinds = []error{context.Canceled}
	case connect.CodeDeadlineExceeded:
		e.kinds = []error{context.DeadlineExceeded}
	case connect.CodeUnavailable:
		e.msg = "no answer: " + e.msg
	}
	e.msg = fmt.Sprintf("agent at %s: %s", c.where, e.msg)
	return e
}

// take turns an answer into a Go value.
func take[T any](c *client, m proto.Message, err error) (T, error) {
	var v T
	if err != nil {
		return v, c.err(err)
	}
	if err := fromWire(m, &v); err != nil {
		return v, fmt.Errorf("agent at %s answered nonsense: %w", c.where, err)
	}
	return v, nil
}

func (c *client) Inspect(ctx context.Context) (topology.Inspection, error) {
	m, err := c.rpc.Inspect(ctx, &pb.InspectRequest{})
	return take[topology.Inspection](c, m, err)
}

func (c *client) ProbeWAL(ctx context.Context, h topology.History) (topology.WALProbe, error) {
	req := &pb.ProbeWALRequest{Primary: &pb.History{}}
	if err := toWire(h, req.Primary); err != nil {
		return topology.WALProbe{}, err
	}
	m, err := c.rpc.ProbeWAL(ctx, req)
	return take[topology.WALProbe](c, m, err)
}

func (c *client) RecordEnding(ctx context.Context, lsn topology.LSN) (topology.WALRecord, error) {
	m, err := c.rpc.RecordEnding(ctx, &pb.RecordEndingRequest{Lsn: lsn.String()})
	return take[topology.WALRecord](c, m, err)
}

func (c *client) Run(ctx context.Context, id string) (topology.RunState, error) {
	m, err := c.rpc.Run(ctx, &pb.RunStateRequest{Id: id})
	return take[topology.RunState](c, m, err)
}

func (c *client) Vault(ctx context.Context) ([]topology.VaultEntry, error) {
	m, err := c.rpc.Vault(ctx, &pb.VaultRequest{})
	if err != nil {
		return nil, c.err(err)
	}
	var out []topology.VaultEntry
	for _, e := range m.Entries {
		v, err := take[topology.VaultEntry](c, e, nil)
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return out, nil
}

func (c *client) VaultReport(ctx context.Context, id string) ([]byte, error) {
	m, err := c.rpc.VaultReport(ctx, &pb.VaultReportRequest{Id: id})
	if err != nil {
		return nil, c.err(err)
	}
	return m.Report, nil
}

func (c *client) Acquire(ctx context.Context, holder string) (topology.Token, error) {
	m, err := c.rpc.Acquire(ctx, &pb.AcquireRequest{Holder: holder})
	if err != nil {
		return 0, c.err(err)
	}
	return topology.Token(m.Token), nil
}

func (c *client) StartRun(ctx context.Context, req topology.RunRequest) error {
	m := &pb.RunRequest{}
	if err := toWire(req, m); err != nil {
		return err
	}
	_, err := c.rpc.StartRun(ctx, m)
	return c.err(err)
}

func (c *client) Watch(ctx context.Context, id string, see func(topology.RunState)) error {
	stream, err := c.rpc.Watch(ctx, &pb.RunStateRequest{Id: id})
	if err != nil {
		return c.err(err)
	}
	err = c.receive(stream, see)
	_ = stream.Close() // whatever it says of the connection, all states have been seen
	return err
}

func (c *client) receive(stream *connect.ServerStreamForClient[pb.RunState], see func(topology.RunState)) error {
	ended := false
	for stream.Receive() {
		st, err := take[topology.RunState](c, stream.Msg(), nil)
		if err != nil {
			return err
		}
		see(st)
		ended = st.Outcome.Ended()
	}
	if err := stream.Err(); err != nil {
		return c.err(err)
	}
	if !ended {
		return fmt.Errorf("agent at %s ended the watch before the run ended", c.where)
	}
	return nil
}

func (c *client) Clear(ctx context.Context, t topology.Token, id, step string) error {
	_, err := c.rpc.Clear(ctx, &pb.ClearRequest{Token: uint64(t), Id: id, Step: step})
	return c.err(err)
}

func (c *client) Cancel(ctx context.Context, t topology.Token, id string) error {
	_, err := c.rpc.Cancel(ctx, &pb.CancelRequest{Token: uint64(t), Id: id})
	return c.err(err)
}

func (c *client) Fence(ctx context.Context, t topology.Token) (topology.Fenced, error) {
	m, err := c.rpc.Fence(ctx, &pb.FenceRequest{Token: uint64(t)})
	return take[topology.Fenced](c, m, err)
}
