package view

import "testing"

// TestABrokenFailoverCommandIsNeverQuiet: a pool may look well and have no failover.
func TestABrokenFailoverCommandIsNeverQuiet(t *testing.T) {
	t.Parallel()
	st := pool(3)
	if v := Of(st, Past{}, noon); v.Tone != Good || len(v.Alarms) != 0 {
		t.Fatalf("the pool is not healthy to begin with: %s, %+v", v.Headline, v.Alarms)
	}
	st.Snapshot.FailoverTrouble = "failover_command runs /gone, but it is missing"
	v := Of(st, Past{}, noon)
	if v.Tone != Bad || v.Headline != "All 3 nodes are attached and healthy, but Pgpool-II cannot fail over" ||
		v.Detail != st.Snapshot.FailoverTrouble {
		t.Errorf("%s: %s: %s", v.Tone, v.Headline, v.Detail)
	}
	if len(v.Alarms) != 1 || v.Alarms[0].Title != NoFailover || v.Alarms[0].Do == "" {
		t.Errorf("%+v", v.Alarms)
	}
}
