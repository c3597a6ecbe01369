package fakehost

import (
	"context"
	"time"

	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/node/resync"
)

// Process is an agent process as its host operations see it: they take time, and it can die. A dead process reads
// nothing and changes nothing any more. Each function that it is given is called under the pool's lock.
type Process interface {
	// Look reads at once.
	Look(f func() error) error
	// Act makes a change, part after part, which takes about that time.
	Act(op string, took time.Duration, parts ...func() error) error
	// Work runs a program to its end, or to the end of ctx. The program outlives a process that dies meanwhile, and then
	// leaves everything half done.
	Work(ctx context.Context, pr Program, see resync.Progress) error
	// Wait lets a time between lo and hi go by.
	Wait(ctx context.Context, lo, hi time.Duration) error
	// Ask puts a question to the server of a primary.
	Ask(ctx context.Context, node topology.NodeID, what string, act func(*Server) error) error

	// Overwrites is told that the node's data are about to be overwritten from another node; how is a participle.
	Overwrites(from topology.NodeID, how string)
	// Stops is told that the node's server is about to be stopped.
	Stops(s *Server)
	// Confirmed is told that node was confirmed as the primary.
	Confirmed(node topology.NodeID)
}

// Program is a child process at work.
type Program struct {
	Name string
	Took time.Duration
	// Begin is its start, Half is called now and then on the way, End is its good end. An error of any ends it.
	Begin, Half, End func() error
}
