package controller

import (
	"testing"

	"github.com/repool/repool/internal/core/plan"
)

// TestOrderThatEndedDuringThePass: a decision of that pass is not carried out, since it may rest on a look before the
// end. A person's request looks by itself and is not held up.
func TestOrderThatEndedDuringThePass(t *testing.T) {
	t.Parallel()
	l := newLedger()
	byHand := order{node: 1, what: plan.Detach}
	decided := order{node: 1, what: plan.Detach, decided: true}
	l.beginPass()
	if !l.claim(decided) || l.claim(byHand) {
		t.Fatal("one order at a time")
	}
	l.free(decided)
	if l.claim(decided) {
		t.Error("the same pass gave the order again")
	}
	if !l.claim(byHand) {
		t.Error("a person's request was refused though nothing is under way")
	}
	l.free(byHand)
	l.beginPass()
	if !l.claim(decided) {
		t.Error("the next pass cannot give the order")
	}
}
