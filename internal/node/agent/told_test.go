package agent

import (
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/repool/repool/internal/core/topology"
)

func TestInstructionsOutliveTheAgent(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	hold := topology.Instruction{Word: topology.WordHold, Who: "ann"}
	with := func(i topology.Instruction) func(topology.Instructions) (topology.Instructions, bool) {
		return func(in topology.Instructions) (topology.Instructions, bool) { return in.With(i) }
	}
	if in := newToldFile(dir).Read(); in != (topology.Instructions{}) {
		t.Errorf("at first: %+v", in)
	}
	// Two processes at once: no instruction is lost.
	var both sync.WaitGroup
	for range 2 {
		both.Go(func() {
			for range 10 {
				if _, err := newToldFile(dir).Change(with(hold)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	both.Wait()
	if in := newToldFile(dir).Read(); in.Node.Number != 20 || in.Node.Who != "ann" {
		t.Errorf("afterwards: %+v", in)
	}
}

// What cannot be read may have been a hold: the node counts as held until it is released.
func TestInstructionsThatCannotBeReadHoldTheNode(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "instructions.json"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	f := newToldFile(dir)
	in := f.Read()
	if _, held := in.Held(time.Now()); !held || in.Unreadable == "" {
		t.Errorf("read: %+v", in)
	}
	in, err := f.Change(func(in topology.Instructions) (topology.Instructions, bool) {
		return in.With(topology.Instruction{Word: topology.WordRelease})
	})
	if _, held := in.Held(time.Now()); err != nil || held || f.Read() != in {
		t.Errorf("after the release: %+v, %v", in, err)
	}
}
