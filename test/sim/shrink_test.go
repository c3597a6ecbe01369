package sim

import (
	"slices"
	"testing"
	"time"
)

func TestShrinkKeepsWhatIsNeeded(t *testing.T) {
	t.Parallel()
	var faults []Fault
	for i, kind := range []string{"freeze", "kill server", "disk full", "slow replay", "start by hand", "kill agent",
		"freeze"} {
		faults = append(faults, Fault{At: time.Duration(i) * time.Second, Kind: kind})
	}
	has := func(all []Fault, kind string) bool {
		return slices.ContainsFunc(all, func(f Fault) bool { return f.Kind == kind })
	}
	tries := 0
	try := func(left []Fault) Outcome {
		tries++
		o := Outcome{Faults: left}
		switch {
		case has(left, "kill server") && has(left, "start by hand"):
			o.Violation = &Violation{Promise: "P1"}
		case len(left) > 0:
			o.Violation = &Violation{Promise: "P9"} // another promise is another story
		}
		return o
	}
	got := Shrink(try(faults), try)
	if len(got.Faults) != 2 || !has(got.Faults, "kill server") || !has(got.Faults, "start by hand") {
		t.Errorf("left %v", got.Faults)
	}
	if tries > 60 {
		t.Errorf("%d worlds were played for it", tries)
	}
}
