package sim

// destroys is the moment at which a directory's own WAL goes (P3): each commit
// in it must be in a vault or on some other line.
func (w *World) destroys(n *node, d *dir, how string) {
	if d.content != whole || d.system != w.system {
		return
	}
	for r := d.tip; r != nil && r.parent != nil; r = r.parent {
		elsewhere := false
		for _, m := range w.nodes {
			for _, o := range m.places {
				elsewhere = elsewhere || o != nil && o != d && o.content == whole && holds(o.tip, r)
			}
		}
		if elsewhere {
			return // and so is all before it
		}
		if r.kind == commit && !w.vaulted(r) && !w.elsewhere(d, r) {
			w.violate("P3", "%s is %s on node %d, and commit %d at %s is nowhere else", d.name, how, n.id, r.id, r.start)
			return
		}
	}
}

func (w *World) vaulted(r *record) bool {
	for _, m := range w.nodes {
		if m.vault[r.id] {
			return true
		}
	}
	return false
}

// elsewhere finds the commit on a line that took it over.
func (w *World) elsewhere(d *dir, r *record) bool {
	for _, m := range w.nodes {
		for _, o := range m.places {
			if o == nil || o == d || o.content != whole {
				continue
			}
			if x := at(o.tip, r.end); x != nil && x.id == r.id {
				return true
			}
		}
	}
	return false
}
