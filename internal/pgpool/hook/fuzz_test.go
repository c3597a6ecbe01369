package hook

import (
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/exit"
)

// FuzzRecord reads any file as the record of the last primary: it is one whose
// writing down again says the same, or none.
func FuzzRecord(f *testing.F) {
	f.Add([]byte(`{"node":1,"system_id":7,` +
		`"history":{"tli":2,"ancestors":[{"tli":1,"switch":"0/5000000"}]},"at":"2026-01-31T20:15:00Z"}`))
	f.Add([]byte(`{"node":1,"history":{"tli":2,` +
		`"ancestors":[{"tli":3,"switch":"0/5000000"},{"tli":1,"switch":"0/4000000"}]}}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "primary.json"), text, 0o600); err != nil {
			t.Fatal(err)
		}
		p, ok := LastPrimary(dir)
		if !ok {
			return
		}
		if p.Node < 0 || p.SystemID == 0 {
			t.Errorf("a primary without a name: %+v", p)
		}
		if _, err := topology.ParseHistory(p.History.TLI, fileOf(p.History)); err != nil {
			t.Errorf("a line that PostgreSQL would not read: %v", err)
		}
		other := t.TempDir()
		if err := NotePrimary(other, p); err != nil {
			t.Fatal(err)
		}
		if again, ok := LastPrimary(other); !ok || !again.equal(p) || !again.At.Equal(p.At) {
			t.Errorf("wrote %+v, read %+v", p, again)
		}
	})
}

// fileOf is the history as its file has it.
func fileOf(h topology.History) string {
	var b strings.Builder
	for _, e := range h.Ancestors {
		b.WriteString(e.TLI.String() + "\t" + e.Switch.String() + "\tfuzz\n")
	}
	return b.String()
}

// FuzzSpool reads any file as an event: it is pending or set aside, once.
func FuzzSpool(f *testing.F) {
	f.Add([]byte(`{"event":{"kind":"failover","failed":0},"tries":[{"code":"promoted","text":"x"}]}`))
	f.Add([]byte(`{"event":`))
	f.Fuzz(func(t *testing.T, text []byte) {
		s := spoolOf(t.TempDir())
		if err := os.MkdirAll(s.dir, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(s.path("e"), text, 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := s.pending()
		if (err == nil) != (len(got) == 1) || len(got) == 1 && got[0].ID != "e" {
			t.Fatalf("pending %+v, %v", got, err)
		}
		if again, err2 := s.pending(); err2 != nil || len(again) != len(got) {
			t.Errorf("the second time: %+v, %v", again, err2)
		}
	})
}

func FuzzPoolStatus(f *testing.F) {
	f.Add([]byte("up\ndown\nunused\n"))
	f.Add([]byte("\x00\x01"))
	f.Fuzz(func(t *testing.T, text []byte) {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "pgpool_status"), text, 0o600); err != nil {
			t.Fatal(err)
		}
		got := readPoolStatus(dir)
		if got == nil {
			return
		}
		for id := range len(got) {
			if up, known := got[topology.NodeID(id)]; !known ||
				up != (strings.TrimSpace(strings.Split(string(text), "\n")[id]) == "up") {
				t.Errorf("node %d of %v from %q", id, got, text)
			}
		}
	})
}

func FuzzRecoveryArgs(f *testing.F) {
	f.Add("/data\x00host\x00/data2\x005432\x001\x005433\x00primary")
	f.Add("/data\x00host\x00/data2")
	f.Fuzz(func(t *testing.T, joined string) {
		args := strings.Split(joined, "\x00")
		c, err := parseRecovery(args)
		if err != nil {
			if exit.Code(err) != exit.Usage {
				t.Errorf("not an error of the call: %v", err)
			}
			return
		}
		if c.host != args[1] || c.dir != args[2] || c.primaryPort < 0 || c.primaryPort > 65535 || c.node < topology.NoNode {
			t.Errorf("got %+v from %q", c, args)
		}
	})
}

// FuzzFacts reads what a server says of itself: without a system identifier or a
// timeline nothing is concluded.
func FuzzFacts(f *testing.F) {
	f.Add(true, uint64(7189234567890123456), uint32(2), hex.EncodeToString([]byte("1\t0/5000000\tx\n")))
	f.Add(false, uint64(7), uint32(1), "")
	f.Fuzz(func(t *testing.T, recovery bool, sysid uint64, tli uint32, history string) {
		said := topology.SQLFacts{InRecovery: recovery, SystemID: topology.SystemID(sysid)}
		facts, err := factsOf(said, topology.TimelineID(tli), history)
		if err != nil {
			return
		}
		if sysid == 0 || facts.SystemID != said.SystemID || facts.InRecovery != recovery || !facts.History.Known() {
			t.Errorf("got %+v from system identifier %d, timeline %d", facts, sysid, tli)
		}
		if _, err := topology.ParseHistory(facts.History.TLI, fileOf(facts.History)); err != nil {
			t.Errorf("a line that PostgreSQL would not read: %v", err)
		}
	})
}
