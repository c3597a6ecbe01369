package topology

import (
	"cmp"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Synchronous is what a primary's synchronous replication promises: every commit that
// it has acknowledged is flushed on at least Need of Members. The zero value promises
// nothing: synchronous_standby_names is empty.
//
// From that follows which standby holds them all. At most len(Members)-Need members
// lack a given commit, so among any len(Members)-Need+1 of them at least one has it;
// and since WAL is a prefix of one line, the one of these with the most WAL has every
// acknowledged commit. With ANY k the members are all standbys of the set that stream;
// with FIRST k they are the k that PostgreSQL waits for, and one of them is enough.
//
// synchronous_commit is not part of it: each session chooses its own. Where it is
// local or off, PostgreSQL promises nothing; remote_write is kept because a WAL
// receiver flushes what it has when its primary is gone.
type Synchronous struct {
	// Names is synchronous_standby_names as the primary has it.
	Names   string       `json:"names,omitempty"`
	Need    int          `json:"need,omitzero"`
	Members []SyncMember `json:"members,omitempty"`
	// Until is where the WAL ended when another set was seen, Later. Former members
	// stay in Members until Need of Later's have that WAL: until then the only ones
	// that hold an acknowledged commit may be among them. Zero: there is no such set.
	Until LSN          `json:"until,omitzero"`
	Later []SyncMember `json:"later,omitempty"`
}

// SyncMember is one synchronous standby.
type SyncMember struct {
	// Node is NoNode for a standby that is not known to be one of the pool's.
	Node NodeID `json:"node"`
	Name string `json:"name"` // its application_name
}

// Promised says whether any commit waits for standbys.
func (s *Synchronous) Promised() bool { return s != nil && s.Names != "" }

// Answers is how many members must be asked before the one with the most WAL is known
// to hold every acknowledged commit; at least 1.
func (s *Synchronous) Answers() int { return max(1, len(s.Members)-s.Need+1) }

// Has says whether the node is a member.
func (s *Synchronous) Has(id NodeID) bool {
	return s != nil && slices.ContainsFunc(s.Members, func(m SyncMember) bool { return m.Node == id })
}

// Equal compares all fields.
func (s *Synchronous) Equal(o *Synchronous) bool {
	if s == nil || o == nil {
		return s == o
	}
	return s.Names == o.Names && s.Need == o.Need && s.Until == o.Until &&
		slices.Equal(s.Members, o.Members) && slices.Equal(s.Later, o.Later)
}

// syncCount is the number of the FIRST and ANY forms, and of the form without a word.
var syncCount = regexp.MustCompile(`(?i)^\s*(?:(?:FIRST|ANY)\s+)?([0-9]+)\s*\(`)

// SyncNeed is for how many standbys a commit waits under this synchronous_standby_names:
// a plain list means 1.
func SyncNeed(names string) int {
	if m := syncCount.FindStringSubmatch(names); m != nil {
		if n, err := strconv.Atoi(m[1]); err == nil && n > 0 {
			return n
		}
	}
	return 1
}

// AnyCouldHold is the promise under this setting when nobody has seen who the
// synchronous standbys are: each of these nodes may be one.
func AnyCouldHold(names string, others []NodeID) *Synchronous {
	if strings.TrimSpace(names) == "" {
		return &Synchronous{}
	}
	s := &Synchronous{Names: names, Need: SyncNeed(names)}
	for _, id := range others {
		s.Members = append(s.Members, SyncMember{Node: id})
	}
	s.Need = min(s.Need, max(1, len(s.Members)))
	return s
}

// After is the promise after the primary p of snap was seen; s is the one before, nil
// where none is known. It does not change s.
func (s *Synchronous) After(snap *Snapshot, p *Node) *Synchronous {
	names := p.SQL.SyncNames
	if strings.TrimSpace(names) == "" {
		return &Synchronous{}
	}
	need, seen, have := SyncNeed(names), syncMembers(snap, p), flushedBy(p.SQL.Senders, SyncNeed(names))
	switch {
	case s == nil: // who has been synchronous until now is not known
		s = AnyCouldHold(names, othersOf(snap, p.ID))
	case !s.Promised():
		s = &Synchronous{Need: need}
	}
	out := &Synchronous{Names: names, Need: min(s.Need, need), Members: unite(s.Members, seen), Until: s.Until,
		Later: s.Later}
	if len(seen) < need {
		return out // no commit is acknowledged now
	}
	if same := slices.Equal(seen, s.Members) && s.Until == 0 || slices.Equal(seen, s.Later) && s.Until != 0; !same {
		out.Until, out.Later = p.SQL.Current, seen
	}
	if have >= out.Until {
		return &Synchronous{Names: names, Need: need, Members: seen}
	}
	return out
}

// waitedFor says that commits wait for the sender's standby, as PostgreSQL sees it.
func waitedFor(s WALSender) bool { return s.SyncState == "sync" || s.SyncState == "quorum" }

// syncMembers are the standbys that commits on p wait for now, sorted.
func syncMembers(snap *Snapshot, p *Node) (all []SyncMember) {
	for _, s := range p.SQL.Senders {
		if waitedFor(s) {
			all = append(all, SyncMember{Node: senderOf(snap, p, s), Name: s.AppName})
		}
	}
	return sortMembers(all)
}

// senderOf is the node that a sender serves: by its slot, or by its receiver's name
// that no other sender and no other node has.
func senderOf(snap *Snapshot, p *Node, s WALSender) NodeID {
	found := NoNode
	for i := range snap.Nodes {
		n := &snap.Nodes[i]
		if n.ID == p.ID {
			continue
		}
		if s.Slot != "" && (s.Slot == SlotName(n.ID) || n.SQL.OK() && s.Slot == n.SQL.Receiver.Slot) {
			return n.ID
		}
		if s.AppName == n.receiverName() {
			if found != NoNode {
				return NoNode
			}
			found = n.ID
		}
	}
	twice := 0
	for _, o := range p.SQL.Senders {
		if o.AppName == s.AppName {
			twice++
		}
	}
	if twice > 1 {
		return NoNode
	}
	return found
}

// flushedBy is up to where need of the synchronous standbys have flushed: every commit
// before it is acknowledged, or may be.
func flushedBy(senders []WALSender, need int) LSN {
	var all []LSN
	for _, s := range senders {
		if waitedFor(s) {
			all = append(all, s.Flush)
		}
	}
	if len(all) < need {
		return 0
	}
	slices.Sort(all)
	return all[len(all)-need]
}

func othersOf(snap *Snapshot, id NodeID) (ids []NodeID) {
	for i := range snap.Nodes {
		if snap.Nodes[i].ID != id {
			ids = append(ids, snap.Nodes[i].ID)
		}
	}
	return ids
}

// unite is a and what of b is not in it. A node is one member, whatever its name.
func unite(a, b []SyncMember) []SyncMember {
	out := slices.Clone(b)
	for _, m := range a {
		known := slices.ContainsFunc(b, func(o SyncMember) bool {
			return o == m || o.Node == m.Node && o.Node != NoNode
		})
		if !known {
			out = append(out, m)
		}
	}
	return sortMembers(out)
}

func sortMembers(all []SyncMember) []SyncMember {
	slices.SortFunc(all, func(a, b SyncMember) int {
		return cmp.Or(cmp.Compare(a.Node, b.Node), cmp.Compare(a.Name, b.Name))
	})
	return all
}
