package proof

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/repool/repool/lab"
)

func TestRowsAreWeighed(t *testing.T) {
	t.Parallel()
	there := lab.Row{Node: 0, Timeline: 1, XID: 10, Payload: "there"}
	lost := lab.Row{Node: 0, Timeline: 1, XID: 11, Payload: "lost, and in the vault"}
	gone := lab.Row{Node: 0, Timeline: 1, XID: 12, Payload: "lost, and nowhere"}
	again := lab.Row{Node: 0, Timeline: 3, XID: 11, Payload: "the same transaction id, later"}
	other := lab.Row{Node: 1, Timeline: 1, XID: 11, Payload: "the same one on another node"}
	wrong := lab.Row{Node: 2, Timeline: 2, XID: 7, Payload: "there, and called lost"}
	acked := []lab.Row{there, lost, gone, again, other, wrong}
	a := Account{Acked: len(acked), Missing: []lab.Row{lost, gone}}
	a.weigh(acked, map[Commit]bool{CommitOf(lost): true, CommitOf(wrong): true})
	if a.Present != 4 || a.Vaulted != 1 {
		t.Errorf("%d present and %d vaulted, want 4 and 1", a.Present, a.Vaulted)
	}
	if !slices.Equal(a.Unexplained, []lab.Row{gone}) {
		t.Errorf("unexplained: %+v", a.Unexplained)
	}
	if !slices.Equal(a.Falsely, []lab.Row{wrong}) {
		t.Errorf("called lost and there: %+v", a.Falsely)
	}
}

// A commit belongs to the timeline that its place in the WAL is on, not to the
// one that the node ended on.
func TestVaultReportsNameTheTimeline(t *testing.T) {
	t.Parallel()
	l := &lab.Lab{}
	l.Nodes = []lab.Node{{ID: 0, DataDir: filepath.Join(t.TempDir(), "data")}}
	report := func(name, text string) {
		dir := filepath.Join(l.Nodes[0].WorkDir(), "vault", name)
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "report.json"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	report("known", `{"node": 0, "diverged": "0/1000", "history": {"tli": 2,
		"ancestors": [{"tli": 1, "switch": "0/2000"}]},
		"commits": [{"xid": 5, "lsn": "0/1800"}, {"xid": 6, "lsn": "0/2800"}]}`)
	report("unknown", `{"node": 0, "diverged": "0/0", "history": {"tli": 2}, "commits": [{"xid": 9, "lsn": "0/2800"}]}`)
	got, err := VaultedOf(l, 0)
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != 2 || !got[Commit{0, 1, 5}] || !got[Commit{0, 2, 6}] {
		t.Errorf("lost commits %v, want transaction 5 on timeline 1 and 6 on 2", got)
	}
}

func TestGuardRules(t *testing.T) {
	t.Parallel()
	primary := lab.NodeStatus{Primary: true, Timeline: 3, Attached: true}
	for name, c := range map[string]struct {
		other   lab.NodeStatus
		watched bool
		bad     bool
	}{
		"a standby":                      {other: lab.NodeStatus{Attached: true}},
		"an attached second primary":     {other: lab.NodeStatus{Primary: true, Timeline: 2, Attached: true}, bad: true},
		"a detached second primary":      {other: lab.NodeStatus{Primary: true, Timeline: 2}},
		"a detached one under watch":     {other: lab.NodeStatus{Primary: true, Timeline: 2}, watched: true, bad: true},
		"a standby under watch":          {other: lab.NodeStatus{Attached: true}, watched: true},
		"an attached one, same timeline": {other: lab.NodeStatus{Primary: true, Timeline: 3, Attached: true}, bad: true},
	} {
		g := &Guard{watched: map[int]bool{1: c.watched}}
		g.sample(time.Now(), []lab.NodeStatus{primary, c.other}, map[int]bool{1: c.watched}, nil)
		if got := g.Result(); (got.Bad > 0) != c.bad || got.Samples != 1 {
			t.Errorf("%s: %+v, want bad %v", name, got, c.bad)
		}
	}
}
