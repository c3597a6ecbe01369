package lab

import (
	"context"
	"os"
	"testing"
	"time"
)

// up brings a lab up for one test, and proves at its end that nothing is left.
func up(t *testing.T, o Options) *Lab {
	t.Helper()
	if missing := MissingPrograms(); len(missing) > 0 {
		t.Fatalf("cannot make a lab without %v: run make deps", missing)
	}
	o.Log = t.Output()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	l, err := Up(ctx, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { takeDown(t, l) })
	return l
}

func takeDown(t *testing.T, l *Lab) {
	t.Helper()
	if err := l.Down(context.Background()); err != nil {
		t.Errorf("down: %v", err)
	}
	if left := labProcs(l.Dir); len(left) > 0 {
		t.Errorf("%d processes left, the first is %d (%s)", len(left), left[0].PID, left[0].Program())
	}
	if _, err := os.Stat(l.Dir); !os.IsNotExist(err) {
		t.Errorf("the directory %s is left: %v", l.Dir, err)
	}
}

func TestUpAllAttachedAndStreaming(t *testing.T) {
	for _, layout := range []Layout{LayoutPlain, LayoutDebian} {
		t.Run(string(layout), func(t *testing.T) {
			start := time.Now()
			l := up(t, Options{Layout: layout})
			t.Logf("up in %v", time.Since(start))
			if err := Healthy(l.Status(t.Context())); err != nil {
				t.Error(err)
			}
			again, err := Open(l.Dir)
			if err != nil {
				t.Fatal(err)
			}
			if err := Healthy(again.Status(t.Context())); err != nil {
				t.Errorf("seen by another process: %v", err)
			}
		})
	}
}

func TestOptionsThatContradictEachOther(t *testing.T) {
	full := t.TempDir()
	must(t, os.WriteFile(full+"/file", nil, 0o600))
	for name, o := range map[string]Options{
		"unknown layout":        {Layout: "flat"},
		"unknown agent mode":    {Agents: "none"},
		"hooks without repool":  {Hooks: true},
		"serve without repool":  {Controller: true},
		"directory not empty":   {Dir: full},
		"unknown site":          {Sites: []string{"far-away"}},
		"sites that clash":      {Sites: []string{"vip", "sockets"}},
		"repool does not exist": {Repool: "/no/such/repool", Standbys: -1},
	} {
		t.Run(name, func(t *testing.T) {
			if l, err := Up(t.Context(), o); err == nil {
				takeDown(t, l)
				t.Error("want an error")
			}
		})
	}
}
