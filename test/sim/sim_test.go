package sim

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
)

// play plays one world in a bubble of its own.
func play(t *testing.T, dir string, o Options) (out Outcome) {
	t.Helper()
	o.Scratch = dir
	synctest.Test(t, func(*testing.T) { out = Run(o) })
	return out
}

// scratch is a directory for worlds.
func scratch(t *testing.T) string {
	t.Helper()
	dir, err := Scratch()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// playMany plays the worlds of seeds from, from+1, … on every processor, until
// there were that many or see returns false. see is called by one worker at a
// time.
func playMany(t *testing.T, from uint64, worlds int, see func(t *testing.T, o Outcome,
	again func(Options) Outcome) bool) {
	t.Helper()
	var next atomic.Uint64
	var mu sync.Mutex
	var stopped atomic.Bool
	defer debug.SetGCPercent(debug.SetGCPercent(400)) // worlds are small and many
	t.Run("worlds", func(t *testing.T) {
		for range runtime.GOMAXPROCS(0) {
			t.Run("", func(t *testing.T) {
				t.Parallel()
				root := scratch(t)
				fresh := func(o Options) Outcome {
					dir := filepath.Join(root, fmt.Sprintf("%d", o.Seed))
					if err := os.Mkdir(dir, 0o700); err != nil {
						t.Fatal(err)
					}
					defer os.RemoveAll(dir)
					return play(t, dir, o)
				}
				for !stopped.Load() {
					n := next.Add(1) - 1
					if n >= uint64(worlds) {
						return
					}
					o := fresh(Options{Seed: from + n})
					mu.Lock()
					if !see(t, o, fresh) {
						stopped.Store(true)
					}
					mu.Unlock()
				}
			})
		}
	})
}
