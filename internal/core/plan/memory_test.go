package plan

import (
	"fmt"
	"testing"
	"time"

	"github.com/repool/repool/internal/codes"
	"github.com/repool/repool/internal/core/topology"
)

func TestFailedRunsAreBackedOffThenParked(t *testing.T) {
	t.Parallel()
	s := newScene(t).learn()
	s.stopped(1).status(1, topology.PoolDown)
	var pauses []time.Duration
	for i := 1; i < s.pol.MaxAttempts; i++ {
		s.failed(1, fmt.Sprintf("run%d", i), topology.MethodStart, codes.SlotFailed)
		s.expect("", "wait backing-off")
		begun := s.now
		for s.step()[1].Action != Resync {
			if s.later(100 * time.Millisecond); s.now.Sub(begun) > time.Hour {
				t.Fatal("never tried again")
			}
		}
		pauses = append(pauses, s.now.Sub(begun))
	}
	for i, p := range pauses {
		want := s.pol.BackoffBase << i
		if p < want*8/10 || p > want*12/10+100*time.Millisecond {
			t.Errorf("pause %d: %s, want %s ±20%%", i+1, p, want)
		}
	}
	s.failed(1, "last", topology.MethodStart, codes.SlotFailed)
	d := s.expect("", "none slot-failed")[1]
	if d.Severity != codes.Refused || d.Hint == "" || s.memory(1).Parked != codes.SlotFailed {
		t.Errorf("not parked loudly: %+v", d)
	}
	s.later(24 * time.Hour)
	s.expect("", "none slot-failed")

	// What a person's release does.
	*s.memory(1) = NodeMemory{Node: 1, SeenRun: s.memory(1).SeenRun}
	s.expect("", "resync/start standby-down")
}

func TestRunsThatTheWorldEndedAreNoFailures(t *testing.T) {
	t.Parallel()
	for _, code := range []codes.Code{codes.UpstreamLost, codes.UpstreamChanged, codes.NoClearance, codes.Cancelled} {
		s := newScene(t).learn()
		s.stopped(1).status(1, topology.PoolDown)
		for i := range 20 {
			s.failed(1, fmt.Sprintf("run%d", i), topology.MethodStart, code)
			s.expect("", "wait backing-off")
			s.later(softBackoff)
			s.expect("", "resync/start standby-down")
			s.later(runAgain)
		}
		if m := s.memory(1); m.Attempts != 0 || m.Parked != "" {
			t.Errorf("%s counted: %+v", code, m)
		}
	}
}

func TestARunIsCountedOnce(t *testing.T) {
	t.Parallel()
	s := newScene(t).learn()
	s.stopped(1).status(1, topology.PoolDown).failed(1, "run1", topology.MethodStart, codes.SlotFailed)
	for range 5 {
		s.step()
	}
	if n := s.memory(1).Attempts; n != 1 {
		t.Errorf("one failed run counted %d times", n)
	}
}

func TestAfterAFailedRewindABaseBackupFollows(t *testing.T) {
	t.Parallel()
	s := newScene(t).learn()
	diverge(s, 1).stopped(1).status(1, topology.PoolDown).failed(1, "run1", topology.MethodRewind, codes.RewindRefused)
	s.learn().later(time.Minute)
	s.expect("", "resync/base-backup diverged")
	s.failed(1, "run2", topology.MethodBaseBackup, codes.CopyFailed).learn().later(time.Minute)
	s.expect("", "resync/base-backup diverged")
}

func TestAStandbyThatDoesNotStartIsCopiedInTheEnd(t *testing.T) {
	t.Parallel()
	s := newScene(t).learn()
	s.stopped(1).status(1, topology.PoolDown).failed(1, "run1", topology.MethodStart, codes.StartFailed)
	s.learn().later(time.Minute)
	s.expect("", "resync/start standby-down")
	s.failed(1, "run2", topology.MethodStart, codes.StartFailed).learn().later(time.Minute)
	s.expect("", "resync/base-backup standby-down")
}

func TestANewPrimaryIsANewChance(t *testing.T) {
	t.Parallel()
	s := newScene(t).learn()
	s.stopped(2).status(2, topology.PoolDown).failed(2, "run1", topology.MethodStart, codes.NotStreaming).learn()
	if s.memory(2).Attempts != 1 {
		t.Fatal("the failed run was not counted")
	}
	s.promoted(1).lineage(2, 1, topology.LineageOnLine).learn()
	if s.memory(2).Attempts != 0 {
		t.Error("a failure against the last primary counts against the new one")
	}
}

func TestVerificationTarget(t *testing.T) {
	t.Parallel()
	s := newScene(t).learn()
	s.status(1, topology.PoolDown)
	s.node(1).SQL.Replay = 0x4FFF000 // behind, within the lag gate
	s.expect("", "wait replaying")
	if m := s.memory(1); m.Target != 0x5000000 || m.TargetPrimary != 0 || m.TargetTLI != 1 {
		t.Fatalf("target %+v", m)
	}
	// The primary runs ahead; the target stays, or a busy pool would never attach.
	s.later(time.Second).node(0).SQL.Current = 0x5800000
	s.node(1).SQL.Replay = 0x5000000
	s.expect("", "attach ready")
}

func TestLagGate(t *testing.T) {
	t.Parallel()
	s := newScene(t).learn()
	s.status(1, topology.PoolDown)
	s.node(1).SQL.Replay = 0x4FFF000
	s.expect("", "wait replaying")
	s.node(1).SQL.Replay = 0x5000000 // the target, but the primary has run away
	s.node(0).SQL.Current = 0x5000000 + topology.LSN(s.pol.MaxLagBytes) + 1
	s.expect("", "wait replaying")
	s.node(0).SQL.Current--
	s.expect("", "attach ready")
}

func TestTargetOfAnOldPrimaryDoesNotCount(t *testing.T) {
	t.Parallel()
	s := newScene(t).learn()
	s.status(2, topology.PoolDown).learn()
	s.promoted(1).standby(2, 1).status(2, topology.PoolDown)
	s.node(2).SQL.Replay = 0x5000800
	s.expect("", "", "wait replaying")
	if m := s.memory(2); m.TargetPrimary != 1 || m.TargetTLI != 2 || m.Target != 0x5001000 {
		t.Errorf("target %+v", m)
	}
}

func TestReplayThatStalls(t *testing.T) {
	t.Parallel()
	s := newScene(t).learn()
	s.status(1, topology.PoolDown)
	s.node(1).SQL.Replay = 0x4000000
	s.expect("", "wait replaying")
	for range 10 { // slow, and moving: never judged by the clock (hazard 44)
		s.later(s.pol.StreamPatience).node(1).SQL.Replay += 8
		s.expect("", "wait replaying")
	}
	s.later(s.pol.StreamPatience + time.Second)
	s.expect("", "wait replay-stalled")
}

func TestAttachIsRateLimitedAndBounded(t *testing.T) {
	t.Parallel()
	s := newScene(t).learn()
	s.status(1, topology.PoolDown)
	s.expect("", "attach ready")
	s.expect("", "wait attaching")
	attaches := 1
	for range 3000 {
		if s.later(time.Second).step()[1].Action == Attach {
			attaches++
			s.status(1, topology.PoolDown) // carried out, and it fell again
		}
	}
	if attaches != maxAttaches+1 {
		t.Errorf("%d attaches, want %d", attaches, maxAttaches+1)
	}
	s.expect("", "none flapping")
}

func TestHealthyForLongForgetsTheFailures(t *testing.T) {
	t.Parallel()
	s := newScene(t).learn()
	m := s.memory(1)
	m.Attempts, m.LastCode, m.Attaches, m.Parked, m.Asked = 3, "slot-failed", 2, codes.SlotFailed, "any"
	s.expect("", "none healthy")
	if m := s.memory(1); m.Attempts != 3 || m.Parked == "" || m.Asked != "" {
		t.Errorf("too early: %+v", m)
	}
	s.later(s.pol.StableFor)
	s.expect("", "none healthy")
	if m := s.memory(1); m.Attempts != 0 || m.Parked != "" || m.Attaches != 0 || m.LastCode != "" {
		t.Errorf("not forgotten: %+v", m)
	}
}

func TestAttachedWithoutAStream(t *testing.T) {
	t.Parallel()
	s := newScene(t).learn()
	s.node(1).SQL.Receiver = topology.WALReceiver{}
	s.expect("", "wait not-streaming")
	s.later(s.pol.FollowGrace)
	s.expect("", "wait not-streaming")
	s.later(time.Second)
	s.expect("", "detach attached-not-streaming")
	s.later(time.Second)
	s.expect("", "wait attached-not-streaming")
	s.status(1, topology.PoolDown).later(s.pol.StreamPatience)
	s.expect("", "resync/follow not-streaming")
}

// Pgpool-II's main process can hang on the login to a frozen node, and then
// carries out neither the detach nor any failover.
func TestAFrozenNodeThatPgpoolCannotDetachIsKilled(t *testing.T) {
	t.Parallel()
	s := newScene(t).learn()
	s.stopped(1)
	s.node(1).SQL.Refused, s.node(1).Agent.Server = false, topology.ServerFrozen
	s.expect("", "wait frozen")
	s.later(s.pol.FollowGrace + time.Second)
	s.expect("", "detach attached-not-streaming")
	s.later(frozenPatience - 2*time.Second)
	s.expect("", "detach attached-not-streaming")
	s.later(2 * time.Second)
	s.expect("", "fence frozen")
	s.later(time.Second)
	s.expect("", "detach attached-not-streaming") // once a fence, then a pause
	s.status(1, topology.PoolDown).later(time.Minute)
	s.expect("", "wait frozen") // once detached it may thaw at any time
}

// A restarted agent says nothing about the method; a rewind that fails, or that
// is broken off again and again, is not tried for ever.
func TestAnInterruptedRewindIsTriedOnceMore(t *testing.T) {
	t.Parallel()
	s := newScene(t).promoted(1).learn().lineage(0, 1, topology.LineageDiverged)
	s.expect("resync/rewind diverged")
	s.failed(0, "run1", topology.MethodRewind, codes.Interrupted).learn().later(s.pol.BackoffMax)
	s.expect("resync/rewind diverged")
	s.failed(0, "run2", topology.MethodRewind, codes.Interrupted).learn().later(s.pol.BackoffMax)
	s.expect("resync/base-backup diverged")

	s = newScene(t).promoted(1).learn().lineage(0, 1, topology.LineageDiverged)
	s.failed(0, "run1", topology.MethodRewind, codes.RewindFailed).learn().later(s.pol.BackoffMax)
	s.expect("resync/base-backup diverged")
}

func TestTheGraceBeginsAnewWithANewPrimary(t *testing.T) {
	t.Parallel()
	s := newScene(t).learn()
	s.node(2).SQL.Receiver = topology.WALReceiver{}
	s.learn().stopped(0).learn() // no primary meanwhile
	s.later(time.Minute).promoted(1).lineage(2, 1, topology.LineageOnLine)
	s.expect("", "", "resync/follow wrong-upstream")
}

func TestAResyncIsNotAskedForTwiceAtOnce(t *testing.T) {
	t.Parallel()
	s := newScene(t).learn()
	s.stopped(1).status(1, topology.PoolDown)
	s.expect("", "resync/start standby-down")
	s.expect("", "wait resyncing")
	s.later(runAgain)
	s.expect("", "resync/start standby-down")
}

func TestFenceIsRepeatedEverMoreSlowly(t *testing.T) {
	t.Parallel()
	s := newScene(t).learn()
	s.promoted(1).standby(2, 1).primary(0, "1", 0x5000200)
	fences := 0
	for range 600 {
		if s.later(time.Second).step()[0].Action == Fence {
			fences++
		}
	}
	if fences < 5 || fences > 10 {
		t.Errorf("%d fences in ten minutes", fences)
	}
}

func TestBackoffIsDeterministicAndBounded(t *testing.T) {
	t.Parallel()
	seen := map[time.Duration]bool{}
	for node := range topology.NodeID(8) {
		for n := 1; n < 40; n++ {
			d := backoff(2*time.Second, time.Minute, node, n)
			if d != backoff(2*time.Second, time.Minute, node, n) {
				t.Fatal("not deterministic")
			}
			if d < 1600*time.Millisecond || d > 72*time.Second {
				t.Errorf("backoff(%s, %d) = %s", node, n, d)
			}
			if n == 1 {
				seen[d] = true
			}
		}
	}
	if len(seen) < 6 {
		t.Errorf("nodes that fail together try again together: %v", seen)
	}
	if backoff(time.Second, time.Minute, 1, 0) != 0 || backoff(0, time.Minute, 1, 3) != 0 {
		t.Error("a pause without a failure")
	}
}

// Hazards 5 and 7: a standby that was a second primary on the same timeline for
// a while streams into its old WAL. Only that it stands where the primary has
// not been shows it.
func TestStreamingAheadOfThePrimary(t *testing.T) {
	t.Parallel()
	s := newScene(t).learn()
	s.node(1).SQL.Replay = 0x5000100
	s.expect("", "none healthy") // the primary's answer may be the older one
	s.later(time.Second)
	s.expect("", "none healthy")
	s.later(aheadFor)
	s.expect("", "detach attached-diverged")
	s.later(time.Second).status(1, topology.PoolDown)
	d := s.expect("", "resync/base-backup diverged")[1]
	if d.Request == nil || d.Request.Divergence == 0 || d.Request.DivergenceTLI != 1 {
		t.Errorf("P3: what it holds of its own is not asked to be kept: %+v", d.Request)
	}
}

func TestNothingIsAttachedThatIsAhead(t *testing.T) {
	t.Parallel()
	s := newScene(t).learn()
	s.status(1, topology.PoolDown).node(1).SQL.Replay = 0x5000100
	s.expect("", "wait replaying")
	s.later(aheadFor)
	s.expect("", "resync/base-backup diverged")
}

// What stands in the place of its data directory is not what it streams into.
func TestAheadIsNoReasonToOverwriteAForeignDirectory(t *testing.T) {
	t.Parallel()
	s := newScene(t).learn()
	s.status(1, topology.PoolDown).node(1).SQL.Replay = 0x5000100
	s.node(1).Agent.Dir = topology.DirForeign
	s.expect("", "wait foreign-directory")
	s.later(aheadFor)
	s.expect("", "wait foreign-directory")
}

func TestAheadForAMomentIsNoFault(t *testing.T) {
	t.Parallel()
	s := newScene(t).learn()
	s.status(1, topology.PoolDown)
	for i := range topology.LSN(20) { // under load, the node is asked later each time
		s.later(time.Second).node(0).SQL.Current = 0x5000000 + i*0x1000
		s.node(1).SQL.Replay = 0x5000100 + i*0x1000
		if d := s.step()[1]; d.Action == Detach || d.Action == Resync {
			t.Fatalf("%s: %s", short(d), d.Reason)
		}
	}
	s.later(time.Second).node(0).SQL.Current += 0x1000
	s.expect("", "attach ready")
}
