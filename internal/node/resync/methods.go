package resync

import "github.com/repool/repool/internal/core/topology"

// steps is the table: what each method does, in order. The rules behind it:
// everything that asks the upstream comes before the first change to the node;
// the directory leaves Home before anything in it changes; it is moved back only
// whole and with standby.signal; what it replaces is removed only after the
// new one streams (P5).
var steps = map[topology.Method][]Step{
	topology.MethodStart: {
		takeStock(), confirm(), ensureSlot(),
		restoreRewound(), writeSettings(), moveHome(), startServer(), waitStreaming(),
		retire(), discardOld(),
	},
	topology.MethodFollow: {
		takeStock(), confirm(), ensureSlot(),
		writeRunningSettings(), reload(), waitStreaming(),
		retire(), discardOld(),
	},
	topology.MethodAdopt: {
		takeStock(), confirm(), ensureSlot(), requireStopped(),
		makeRoom(), moveAway(), proveOnLine(),
		restoreRewound(), writeStandby(), moveHome(), startServer(), waitStreaming(),
		discardOld(),
	},
	topology.MethodRewind: {
		takeStock(), saveConfig(), confirm(), ensureSlot(), checkpointUpstream(),
		stopServer(), makeRoom(), moveAway(), vault(),
		refillWAL(), settle(), rewind(),
		restoreConfig(), writeStandby(), moveHome(), startServer(), waitStreaming(),
		discardOld(),
	},
	topology.MethodBaseBackup: {
		takeStock(), saveConfig(), confirm(), ensureSlot(), checkSpace(),
		stopServer(), makeRoom(), moveAway(), vault(),
		awaitSlot(), copyUpstream(), verifyCopy(),
		restoreConfig(), writeStandby(), moveNewHome(), startServer(), waitStreaming(),
		retire(), discardOld(),
	},
	topology.MethodCustom: {
		takeStock(), confirm(), ensureSlot(), stopServer(), vault(), moveHome(),
		custom(), waitStreaming(),
		retire(), discardOld(),
	},
}

// Steps names the steps of a method in order; nil for a method that the engine
// does not run (attach belongs to the controller).
func Steps(m topology.Method) []string {
	var names []string
	for _, s := range steps[m] {
		names = append(names, s.Name)
	}
	return names
}

// Supports says whether the engine runs that method.
func Supports(m topology.Method) bool { return len(steps[m]) > 0 }
