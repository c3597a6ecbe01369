package controller

import (
	"context"

	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/pcp"
)

// PCPPool is one Pgpool-II that can be asked to attach and detach nodes, one
// short connection for each request. Pgpool-II answers when it has queued the
// request; success shows in a later View.
type PCPPool struct{ conf pcp.Config }

// NewPCPPool makes a PCPPool.
func NewPCPPool(conf pcp.Config) *PCPPool { return &PCPPool{conf: conf} }

// Endpoint names the Pgpool-II.
func (p *PCPPool) Endpoint() string { return p.conf.Addr() }

// Attach asks to route to the node again.
func (p *PCPPool) Attach(ctx context.Context, node topology.NodeID) error {
	return pcp.With(ctx, p.conf, func(c *pcp.Conn) error { return c.AttachNode(ctx, int(node)) })
}

// Detach asks to route to the node no more.
func (p *PCPPool) Detach(ctx context.Context, node topology.NodeID) error {
	return pcp.With(ctx, p.conf, func(c *pcp.Conn) error { return c.DetachNode(ctx, int(node)) })
}
