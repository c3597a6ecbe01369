package topology

import (
	"fmt"
	"time"
)

// Word is what an instruction says.
type Word string

// The words of a person to repool. The empty Word: nothing was ever said.
const (
	WordHold    Word = "hold"     // leave the node alone until Until, or until released
	WordRelease Word = "release"  // end the hold and the parking
	WordEndHold Word = "end-hold" // end the hold alone
	WordResync  Word = "resync"   // agree to a resync by Method, or by any where it is empty
)

// Instruction is what a person has told repool about a node or the whole pool. The zero
// value: nothing.
type Instruction struct {
	// Number orders the instructions of one kind: the highest is in force. A zero in an
	// order lets the agent give the next one.
	Number uint64 `json:"number,omitzero"`
	Word   Word   `json:"word,omitempty"`
	// Pool: it is about the whole pool, and every node's agent keeps a copy.
	Pool bool   `json:"pool,omitempty"`
	Who  string `json:"who,omitempty"`
	Why  string `json:"why,omitempty"`
	// At is when it was given, by the clock of the controller that took it. Until ends a
	// hold; zero: a release does.
	At     time.Time `json:"at,omitzero"`
	Until  time.Time `json:"until,omitzero"`
	Method Method    `json:"method,omitempty"`
}

// Wrong says why an instruction cannot be kept; empty: it can.
func (i Instruction) Wrong() string {
	switch {
	case i.Word != WordHold && i.Word != WordRelease && i.Word != WordEndHold && i.Word != WordResync:
		return fmt.Sprintf("there is no instruction %q", i.Word)
	case i.Word == WordResync && i.Pool:
		return "consent to a resync is for one node"
	case i.Pool && i.Number == 0:
		return "an instruction for the whole pool must have a number, which is the same at every node"
	}
	return ""
}

// Holds says whether the instruction is a hold in force at that time.
func (i Instruction) Holds(now time.Time) bool {
	return i.Word == WordHold && (i.Until.IsZero() || now.Before(i.Until))
}

// Instructions are those that a node's agent keeps, on the node's disk, so that every
// controller and hook finds them: the newest of each kind. The zero value: none.
type Instructions struct {
	Node   Instruction `json:"node,omitzero"`   // the newest hold or release of this node
	Pool   Instruction `json:"pool,omitzero"`   // that of the whole pool
	Resync Instruction `json:"resync,omitzero"` // the newest consent to a resync
	// Used says that a run has ended well since Resync was given: it is used up.
	Used bool `json:"used,omitempty"`
	// Unreadable is why what was kept cannot be read; the node counts as held then, until
	// it is released. Empty: it could be.
	Unreadable string `json:"unreadable,omitempty"`
}

// Held gives the instruction that holds the node at that time; false where none does.
func (in *Instructions) Held(now time.Time) (Instruction, bool) {
	switch {
	case in == nil:
		return Instruction{}, false
	case in.Unreadable != "":
		return Instruction{Word: WordHold, Who: "repool", Why: "which instructions were given for the node cannot be read: " +
			in.Unreadable}, true
	case in.Node.Holds(now):
		return in.Node, true
	case in.Pool.Holds(now):
		return in.Pool, true
	}
	return Instruction{}, false
}

// With is the instructions after i was given; i without a number gets the next. changed
// is false where a newer one of its kind is there already, or i itself.
func (in Instructions) With(i Instruction) (out Instructions, changed bool) {
	place := &in.Node
	switch {
	case i.Pool:
		place = &in.Pool
	case i.Word == WordResync:
		place = &in.Resync
	}
	if i.Number == 0 {
		i.Number = max(in.Node.Number, in.Pool.Number, in.Resync.Number) + 1
	}
	if i.Number <= place.Number {
		return in, false
	}
	*place = i
	if i.Word == WordResync {
		in.Used = false
	} else if !i.Pool {
		in.Unreadable = ""
	}
	return in, true
}
