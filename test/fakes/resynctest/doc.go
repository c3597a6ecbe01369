// Package resynctest is a node and its primary in memory, for tests of the
// engine and of the agent: a World has the four places, each with a Dir whose
// content may be whole or half done, one server, an upstream, and a vault. It
// implements resync.Host and resync.UpstreamLink (and the rest of agent.Node).
//
// The World watches the promises while it works: a half-done directory at Home
// or under a server, a copy at Home without standby.signal, commits destroyed
// before they were saved, the last proven copy removed, are noted in
// Violations at the moment they happen. OutsideStart is the hand of a service
// manager or person who starts whatever stands at Home.
package resynctest
