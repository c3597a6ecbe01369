package plan

import "time"

// until is the memory without what is later than now. The clock was set back since it
// was saved, or the memory comes from another host: nothing that is kept may wait for
// such a time. What was done then was never done, and what lasts since then begins now.
// A hold's end is meant to be later. IgnoredRequests.Mark is Pgpool-II's and is only
// compared with itself. Nothing of m is shared.
func (m Memory) until(now time.Time) Memory {
	never := func(at *time.Time) {
		if at.After(now) {
			*at = time.Time{}
		}
	}
	begins := func(at *time.Time) {
		if at.After(now) {
			*at = now
		}
	}
	m = m.clone()
	never(&m.LastNudge)
	begins(&m.PoolBlindSince)
	begins(&m.Contest.Since)
	begins(&m.Pool.At)
	for i := range m.Holds {
		begins(&m.Holds[i].Since)
	}
	for i := range m.Nodes {
		n := &m.Nodes[i]
		for _, at := range []*time.Time{&n.LastFailure, &n.LastAttach, &n.LastDetach, &n.LastFence, &n.LastResync,
			&n.LastDropSlots, &n.ToldAt} {
			never(at)
		}
		for _, at := range []*time.Time{&n.ParkedAt, &n.NotStreamingSince, &n.BrokeFirst, &n.ProgressAt, &n.AheadAt,
			&n.HealthySince, &n.SlotHeldSince, &n.IgnoredRequests.Since, &n.IgnoredChecks.Since} {
			begins(at)
		}
	}
	return m
}
