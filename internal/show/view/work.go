package view

import "slices"

// Work is the decision about a node that is not healthy or of which repool warns, or
// about several for the same reason: a dead Pgpool-II is one problem, not sixty.
type Work struct {
	NodeView // the first of them
	Subject  string
	Evidence []string // of all of them, each line once
}

func workOf(nodes []NodeView) []Work {
	var out []Work
	var members [][]string
	for _, n := range nodes {
		if n.Tone == Good && n.Run == nil && n.Decision.Warning == "" {
			continue
		}
		at := slices.IndexFunc(out, func(w Work) bool {
			return n.Run == nil && w.Run == nil && n.Hold == nil && w.Hold == nil && !n.Parked && !w.Parked &&
				w.Decision.Code == n.Decision.Code && w.Decision.Reason == n.Decision.Reason && w.Doing == n.Doing
		})
		if at < 0 {
			at = len(out)
			out, members = append(out, Work{NodeView: n}), append(members, nil)
		}
		members[at] = append(members[at], n.ID.String())
		for _, e := range n.Decision.Evidence {
			if !slices.Contains(out[at].Evidence, e) {
				out[at].Evidence = append(out[at].Evidence, e)
			}
		}
	}
	for i := range out {
		out[i].Subject = subject(members[i])
	}
	return out
}

// subject names one node, or several.
func subject(ids []string) string {
	if len(ids) == 1 {
		return "Node " + ids[0]
	}
	return "Nodes " + listed(ids)
}
