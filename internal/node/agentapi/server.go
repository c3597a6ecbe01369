package agentapi

import (
	"context"
	"errors"
	"net/http"

	"connectrpc.com/connect"

	"github.com/repool/repool/internal/core/topology"
	pb "github.com/repool/repool/internal/node/agentapi/agentv1"
	"github.com/repool/repool/internal/node/agentapi/agentv1/agentv1connect"
)

// NewHandler serves an agent; path is where to mount it. self says who it is and
// whom it serves; nil: everybody who can reach it.
func NewHandler(a Agent, self *Self) (path string, h http.Handler) {
	path, h = agentv1connect.NewAgentServiceHandler(&server{a}, connect.WithReadMaxBytes(4<<20))
	return path, self.guard(h)
}

type server struct{ agent Agent }

// errorKinds carries the contract's errors over the wire: errors.Is must hold
// on the far side too, for each of them that an error wraps.
var errorKinds = []struct {
	name string
	err  error
}{
	{"locked", ErrLocked}, {"stale-token", ErrStaleToken}, {"no-wal", ErrNoWAL}, {"no-run", ErrNoRun}, {"refused", ErrRefused},
	{"version-skew", ErrVersionSkew}, {"wrong-node", ErrWrongNode}, {"foreign-system", ErrForeignSystem}, {"not-allowed", ErrNotAllowed},
}

// errorHeader names the kinds in the error's metadata.
const errorHeader = "Repool-Error"

func wireError(err error) error {
	if err == nil {
		return nil
	}
	code := connect.CodeInternal
	switch {
	case errors.Is(err, context.Canceled):
		code = connect.CodeCanceled
	case errors.Is(err, context.DeadlineExceeded):
		code = connect.CodeDeadlineExceeded
	}
	var names []string
	for _, k := range errorKinds {
		if errors.Is(err, k.err) {
			names = append(names, k.name)
			code = connect.CodeFailedPrecondition
		}
	}
	ce := connect.NewError(code, err)
	for _, name := range names {
		ce.Meta().Add(errorHeader, name)
	}
	return ce
}

// answer turns a Go value and error into a wire message and error.
func answer[M any, P interface {
	*M
	connectMessage
}](v any, err error) (P, error) {
	if err != nil {
		return nil, wireError(err)
	}
	m := P(new(M))
	if err := toWire(v, m); err != nil {
		return nil, wireError(err)
	}
	return m, nil
}

func (s *server) Inspect(ctx context.Context, _ *pb.InspectRequest) (*pb.Inspection, error) {
	v, err := s.agent.Inspect(ctx)
	return answer[pb.Inspection](v, err)
}

func (s *server) ProbeWAL(ctx context.Context, r *pb.ProbeWALRequest) (*pb.WALProbe, error) {
	var h topology.History
	if r.Primary == nil {
		return nil, connect.NewError(connect.CodeInvalidArgument, errors.New("the primary's history is missing"))
	}
	if err := fromWire(r.Primary, &h); err != nil {
		return nil, connect.NewError(connect.CodeInvalidArgument, err)
	}
	v, err := s.agent.ProbeWAL(ctx, h)
	return answer[pb.WALProbe](v, err)
}

func (s *server) RecordEnding(ctx context.Context, r *pb.RecordEndingRequest) (*pb.WALRecord, error) {
	lsn, err := topology.ParseLSN(r.Lsn)
	if err != nil {
		return nil, connect.NewError(connect.CodeInvalidArgument, err)
	}
	v, err := s.agent.RecordEnding(ctx, lsn)
	return answer[pb.WALRecord](v, err)
}

func (s *server) Run(ctx context.Context, r *pb.RunStateRequest) (*pb.RunState, error) {
	v, err := s.agent.Run(ctx, r.Id)
	return answer[pb.RunState](v, err)
}

func (s *server) Vault(ctx context.Context, _ *pb.VaultRequest) (*pb.VaultResponse, error) {
	entries, err := s.agent.Vault(ctx)
	if err != nil {
		return nil, wireError(err)
	}
	out := &pb.VaultResponse{}
	for _, e := range entries {
		m, err := answer[pb.VaultEntry](e, nil)
		if err != nil {
			return nil, err
		}
		out.Entries = append(out.Entries, m)
	}
	return out, nil
}

func (s *server) VaultReport(ctx context.Context, r *pb.VaultReportRequest) (*pb.VaultReportResponse, error) {
	b, err := s.agent.VaultReport(ctx, r.Id)
	return &pb.VaultReportResponse{Report: b}, wireError(err)
}

func (s *server) Acquire(ctx context.Context, r *pb.AcquireRequest) (*pb.AcquireResponse, error) {
	t, err := s.agent.Acquire(ctx, r.Holder)
	return &pb.AcquireResponse{Token: uint64(t)}, wireError(err)
}

func (s *server) StartRun(ctx context.Context, r *pb.RunRequest) (*pb.StartRunResponse, error) {
	var req topology.RunRequest
	if err := fromWire(r, &req); err != nil {
		return nil, connect.NewError(connect.CodeInvalidArgument, err)
	}
	return &pb.StartRunResponse{}, wireError(s.agent.StartRun(ctx, req))
}

func (s *server) Watch(ctx context.Context, r *pb.RunStateRequest, out *connect.ServerStream[pb.RunState]) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var lost error // the first state that could not be sent ends the watch
	err := s.agent.Watch(ctx, r.Id, func(st topology.RunState) {
		if lost != nil {
			return
		}
		m, err := answer[pb.RunState](st, nil)
		if err == nil {
			err = out.Send(m)
		}
		if err != nil {
			lost = err
			stop()
		}
	})
	if lost != nil {
		err = lost
	}
	return wireError(err)
}

func (s *server) Clear(ctx context.Context, r *pb.ClearRequest) (*pb.ClearResponse, error) {
	return &pb.ClearResponse{}, wireError(s.agent.Clear(ctx, topology.Token(r.Token), r.Id, r.Step))
}

func (s *server) Cancel(ctx context.Context, r *pb.CancelRequest) (*pb.CancelResponse, error) {
	return &pb.CancelResponse{}, wireError(s.agent.Cancel(ctx, topology.Token(r.Token), r.Id))
}

func (s *server) Fence(ctx context.Context, r *pb.FenceRequest) (*pb.Fenced, error) {
	v, err := s.agent.Fence(ctx, topology.Token(r.Token))
	return answer[pb.Fenced](v, err)
}
