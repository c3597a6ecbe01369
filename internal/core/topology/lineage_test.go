package topology

import (
	"strings"
	"testing"
)

// rec is a record that ends at end; crc stands for its content.
func rec(end LSN, crc uint32) *WALRecord {
	return &WALRecord{Start: end - 0x60, End: end, Prev: end - 0xC0, CRC: crc}
}

// seen is the probe of a node's WAL with that history and end, against a
// primary; its last common record has content crc.
func seen(tb testing.TB, own History, primary string, end LSN, crc uint32) WALProbe {
	tb.Helper()
	p := WALProbe{Own: own, End: end, LastCheckpoint: 0x4000028}
	p.CommonTLI, p.Limit, p.Open, p.Shared = Common(own, hist(tb, primary))
	last := end
	if p.Shared && !p.Open {
		p.Beyond = end > p.Limit
		last = min(end, p.Limit)
	}
	p.Last = rec(last, crc)
	return p
}

func TestJudgeLineage(t *testing.T) {
	t.Parallel()
	const primary = "1@0/5000000 2"
	for name, tt := range map[string]struct {
		own       string
		end       LSN
		primaryAt *WALRecord
		err       string
		walFrom   LSN
		edit      func(*WALProbe)
		want      Lineage
	}{
		"old primary that ended exactly at the switch point (hazard 1 of the design)": {own: "1", end: 0x5000000,
			primaryAt: rec(0x5000000, 7),
			want:      Lineage{Verdict: LineageOnLine, Point: 0x5000000, TLI: 1, ProvenTo: 0x5000000}},
		"standby that is behind": {own: "1", end: 0x4800000, primaryAt: rec(0x4800000, 7),
			want: Lineage{Verdict: LineageOnLine, Point: 0x4800000, TLI: 1, ProvenTo: 0x4800000}},
		"standby on the primary's timeline": {own: "1@0/5000000 2", end: 0x6000000, primaryAt: rec(0x6000000, 7),
			want: Lineage{Verdict: LineageOnLine, Point: 0x6000000, TLI: 2, ProvenTo: 0x6000000}},
		"old primary with commits of its own": {own: "1", end: 0x5000200, primaryAt: rec(0x5000000, 7),
			want: Lineage{Verdict: LineageDiverged, Point: 0x5000000, TLI: 1, OwnBytes: 0x200,
				ProvenTo: 0x5000000, RewindWAL: true}},
		"its WAL back to the common checkpoint is gone": {own: "1", end: 0x5000200, primaryAt: rec(0x5000000, 7),
			edit: func(p *WALProbe) { p.LastCheckpoint = 0 },
			want: Lineage{Verdict: LineageDiverged, Point: 0x5000000, TLI: 1, OwnBytes: 0x200, ProvenTo: 0x5000000}},
		"diverged, and the common record cannot be compared: no rewind": {own: "1", end: 0x5000200, err: "agent silent",
			want: Lineage{Verdict: LineageDiverged, Point: 0x5000000, TLI: 1, OwnBytes: 0x200}},
		"diverged past the limit, and other content before it": {own: "1", end: 0x5000200, primaryAt: rec(0x5000000, 8),
			want: Lineage{Verdict: LineageDiverged, Point: 0, TLI: 1, OwnBytes: 0x5000200, ProvenTo: 1,
				SameTimeline: true}},
		"two standbys promoted to timeline 2 (hazard 1)": {own: "1@0/5000000 2", end: 0x5001000, primaryAt: rec(0x5001000, 8),
			want: Lineage{Verdict: LineageDiverged, Point: 0x5000000, TLI: 2, OwnBytes: 0x1000, ProvenTo: 0x5000000,
				SameTimeline: true}},
		"same timeline, and the primary has no record that ends there": {own: "1@0/5000000 2", end: 0x5001000,
			primaryAt: rec(0x5000800, 7),
			want: Lineage{Verdict: LineageDiverged, Point: 0x5000000, TLI: 2, OwnBytes: 0x1000, ProvenTo: 0x5000000,
				SameTimeline: true}},
		"nothing in common": {own: "7", end: 0x5000000,
			want: Lineage{Verdict: LineageForeign}},
		"the primary's record could not be read": {own: "1", end: 0x4800000, err: "timeout",
			want: Lineage{Point: 0x4800000, TLI: 1}},
		"the primary's WAL is gone from there": {own: "1", end: 0x4800000, err: "no WAL", walFrom: 0x5000000,
			want: Lineage{Point: 0x4800000, TLI: 1, StreamGap: true}},
		"no readable record": {own: "1", end: 0x4800000, edit: func(p *WALProbe) { p.Last = nil },
			want: Lineage{Point: 0x5000000, TLI: 1}},
		"no readable record, and the primary's WAL begins later": {own: "1", end: 0x4800000, walFrom: 0x5000000,
			edit: func(p *WALProbe) { p.Last = nil },
			want: Lineage{Point: 0x5000000, TLI: 1, StreamGap: true}},
		"no readable record before the limit, but one past it": {own: "1", end: 0x6000000,
			edit: func(p *WALProbe) { p.Last = nil },
			want: Lineage{Verdict: LineageDiverged, Point: 0x5000000, TLI: 1, OwnBytes: 0x1000000}},
		"own history unknown": {own: "1", end: 0x4800000, primaryAt: rec(0x4800000, 7),
			edit: func(p *WALProbe) { p.Own = History{} },
			want: Lineage{Point: 0x5000000, TLI: 1}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			probe := seen(t, hist(t, tt.own), primary, tt.end, 7)
			if tt.edit != nil {
				tt.edit(&probe)
			}
			got := JudgeLineage(hist(t, primary), probe, tt.primaryAt, tt.err, tt.walFrom)
			if got.Proof == "" {
				t.Error("a verdict without a proof")
			}
			got.Proof = ""
			if got != tt.want {
				t.Errorf("JudgeLineage = %+v\nwant           %+v", got, tt.want)
			}
		})
	}
}

func TestJudgeLineageSaysWhatDiffers(t *testing.T) {
	t.Parallel()
	probe := seen(t, hist(t, "1@0/5000000 2"), "1@0/5000000 2", 0x5001000, 7)
	got := JudgeLineage(hist(t, "1@0/5000000 2"), probe, rec(0x5001000, 8), "", 0)
	if !strings.Contains(got.Proof, "00000007") || !strings.Contains(got.Proof, "00000008") {
		t.Errorf("the proof does not show both checksums: %s", got.Proof)
	}
}
