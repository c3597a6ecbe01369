package agentapi

import (
	"context"
	"net/http"

	"connectrpc.com/connect"

	"github.com/repool/repool/internal/core/topology"
)

// servicePath is where the contract's calls are served. It has not changed
// since protocol 1, so that peers of any age meet in the handshake.
const servicePath = "/repool.agent.v1.AgentService/"

// call is one call of the contract: its name on the wire, and the types of its
// request and its response. Client and server both take it from here.
type call[Req, Res any] string

const (
	callInspect      call[empty, topology.Inspection]        = "Inspect"
	callProbeWAL     call[probeRequest, topology.WALProbe]   = "ProbeWAL"
	callRecordEnding call[recordRequest, topology.WALRecord] = "RecordEnding"
	callRun          call[idRequest, topology.RunState]      = "Run"
	callVault        call[empty, vaultResponse]              = "Vault"
	callVaultReport  call[idRequest, reportResponse]         = "VaultReport"
	callAcquire      call[acquireRequest, acquireResponse]   = "Acquire"
	callStartRun     call[topology.RunRequest, empty]        = "StartRun"
	callWatch        call[idRequest, topology.RunState]      = "Watch" // a stream
	callClear        call[clearRequest, empty]               = "Clear"
	callCancel       call[cancelRequest, empty]              = "Cancel"
	callFence        call[fenceRequest, topology.Fenced]     = "Fence"
	callDropSlots    call[slotsRequest, slotsResponse]       = "DropSlots"

	callInstructions call[empty, topology.Instructions]                = "Instructions"
	callInstruct     call[topology.Instruction, topology.Instructions] = "Instruct"
)

// orders are the calls that change a node.
var orders = []string{
	string(callAcquire), string(callStartRun), string(callClear), string(callCancel), string(callFence),
	string(callDropSlots),
	string(callInstruct),
}

// Messages that are not topology's. A field added to a request later must be
// omitted while it is zero: an older agent refuses what it does not know.
type (
	empty        struct{}
	probeRequest struct {
		Primary topology.History `json:"primary"`
	}
	recordRequest struct {
		LSN topology.LSN `json:"lsn"`
	}
	idRequest struct {
		ID string `json:"id"`
	}
	vaultResponse struct {
		Entries []topology.VaultEntry `json:"entries"`
	}
	reportResponse struct {
		Report []byte `json:"report"` // base64, so that the bytes arrive as they are in the file
	}
	acquireRequest struct {
		Holder string `json:"holder"`
	}
	acquireResponse struct {
		Token topology.Token `json:"token"`
	}
	clearRequest struct {
		Token topology.Token `json:"token"`
		ID    string         `json:"id"`
		Step  string         `json:"step"`
	}
	cancelRequest struct {
		Token topology.Token `json:"token"`
		ID    string         `json:"id"`
	}
	fenceRequest struct {
		Token topology.Token `json:"token"`
	}
	slotsRequest struct {
		Token topology.Token `json:"token"`
		Names []string       `json:"names"`
	}
	slotsResponse struct {
		Dropped []string `json:"dropped"`
	}
)

// Limits on one message, in bytes. The largest response is the report of a
// vault entry: 64 MiB, before base64.
const (
	maxRequest  = 4 << 20
	maxResponse = 86 << 20
)

// client makes the calling side.
func (c call[Req, Res]) client(h connect.HTTPClient, url string) *connect.Client[Req, Res] {
	return connect.NewClient[Req, Res](h, url+servicePath+string(c),
		connect.WithCodec(codec{}), connect.WithReadMaxBytes(maxResponse))
}

// handle serves the call with answer.
func (c call[Req, Res]) handle(mux *http.ServeMux, answer func(context.Context, Req) (Res, error)) {
	path := servicePath + string(c)
	mux.Handle(path, connect.NewUnaryHandlerSimple(path, func(ctx context.Context, req *Req) (*Res, error) {
		res, err := answer(ctx, *req)
		return &res, wireError(err)
	}, serverOptions()))
}

// stream serves a call with many responses.
func (c call[Req, Res]) stream(
	mux *http.ServeMux, answer func(ctx context.Context, req Req, send func(Res) error) error,
) {
	path := servicePath + string(c)
	mux.Handle(path, connect.NewServerStreamHandlerSimple(path,
		func(ctx context.Context, req *Req, out *connect.ServerStream[Res]) error {
			return wireError(answer(ctx, *req, func(res Res) error { return out.Send(&res) }))
		}, serverOptions()))
}

func serverOptions() connect.HandlerOption {
	return connect.WithHandlerOptions(connect.WithCodec(codec{strict: true}), connect.WithReadMaxBytes(maxRequest))
}
