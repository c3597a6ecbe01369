// Package hosts has the scenarios of pools whose nodes are on hosts of their own:
// real network namespaces with real sshd, agents over TLS and over ssh, and a
// network that fails. They need root, as the lab's Options.Hosts does.
//
// Each test builds a pool of its own, does something bad to it, and asserts that
// it ends whole, that nothing that a node alone held is lost, and that nothing was
// done to a node that could not be proven. The rule for a new one: faults by the
// lab's methods only, waits with a deadline only.
package hosts
