// Package crashpoints kills the agent of a node at every point that the engine
// names (resync.AllPoints), on real pools, and looks how each death ends: the
// node attached or parked, the copies equal, every lost commit in the vault,
// and at no time a half-done server running or a second primary attached.
//
// Each point has a way that leads to it (ways_test.go), or a reason why no real
// run can; a new step of the engine has neither and fails the test until it
// gets one. At the points where data is overwritten several deaths are possible:
// without flags one of them is tried, by turns, and with -full each.
package crashpoints
