package pgdata

import "testing"

// TestOtherThan: a sound directory's WAL has its control file's checkpoint; what
// another checkpoint at the place, or a record over it, says of the directory.
func TestOtherThan(t *testing.T) {
	t.Parallel()
	s := newCluster(t)
	s.start()
	s.sql("checkpoint")
	s.run("pg_ctl", "-D", s.data, "-w", "-m", "fast", "stop")
	w, c, err := OpenOwnWAL(s.data)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	end, err := w.EndOfWAL(c.CheckpointLSN)
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		change func(*Control)
		want   bool
	}{
		"as it is":                            {func(*Control) {}, false},
		"replay moved the next transaction":   {func(c *Control) { c.Checkpoint[24]++ }, false},
		"another checkpoint, by its time":     {func(c *Control) { c.Checkpoint[64]++ }, true},
		"another checkpoint, by its redo":     {func(c *Control) { c.Checkpoint[0] += 8 }, true},
		"a record reaches over the place":     {func(c *Control) { c.CheckpointLSN += 8 }, true},
		"the WAL ends before it":              {func(c *Control) { c.CheckpointLSN = end.LSN + 0x1000 }, false},
		"its segment is not there":            {func(c *Control) { c.CheckpointLSN += 1 << 30 }, false},
		"on a timeline that is not read here": {func(c *Control) { c.Timeline++ }, false},
		"no checkpoint is named":              {func(c *Control) { c.CheckpointLSN = 0 }, false},
	} {
		changed := c
		tt.change(&changed)
		if got, err := w.OtherThan(changed); err != nil || got != tt.want {
			t.Errorf("%s: %v, %v, want %v", name, got, err, tt.want)
		}
	}
}
