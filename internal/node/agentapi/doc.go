// Package agentapi is the contract between a controller and the agent on a
// database host: what may be asked (Inspector), what may be changed
// (Operator), and the transports that carry both.
//
// The data types are topology's, and they go over the wire as they are: JSON,
// by way of ConnectRPC. Each call is described once, in calls.go.
//
// A caller never names a path, a command or an option; the agent knows its own
// data directory from its own configuration. Long work belongs to the agent, so
// a call's deadline never ends a run.
package agentapi
