// Package agentapitest has what tests of the agent's contract share: Fake, an
// agent in memory that behaves as the contract says, for tests of whoever calls
// an agent; and RunContract, the contract as a suite, which every agent and
// every way to reach one must pass, so that Fake stays honest.
//
// Fake uses only channels, mutexes and timers, so it works in a testing/synctest
// bubble, where its runs take no time at all.
package agentapitest
