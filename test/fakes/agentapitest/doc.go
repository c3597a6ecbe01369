// Package agentapitest is for tests around the agent's contract. Fake is an agent
// in memory that behaves as the contract says, for tests of what calls an agent.
// RunContract is the contract as a suite; every agent and every transport must
// pass it, and Fake too, so that it stays honest.
//
// Fake uses only channels, mutexes and timers, so it works in a testing/synctest
// bubble, where its runs take no time at all.
package agentapitest
