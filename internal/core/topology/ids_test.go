package topology

import (
	"encoding/json"
	"testing"
)

func TestParseLSN(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]LSN{
		"0/0": 0, "16/B374D848": 0x16B374D848, "0/5000060": 0x5000060, "FFFFFFFF/FFFFFFFF": 1<<64 - 1, "a/b": 0xA0000000B,
	} {
		if got, err := ParseLSN(text); err != nil || got != want {
			t.Errorf("ParseLSN(%q) = %s, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "/", "1/", "/1", "5000060", "1/2/3", "g/0", "0/g", "123456789/0", "0/123456789",
		"-1/0", "+1/0", " 1/0", "1/0\n"} {
		if got, err := ParseLSN(text); err == nil {
			t.Errorf("ParseLSN(%q) = %s, want an error", text, got)
		}
	}
}

func TestLSN(t *testing.T) {
	t.Parallel()
	if d := LSN(10).Minus(4); d != 6 {
		t.Errorf("10-4 = %d", d)
	}
	if d := LSN(4).Minus(10); d != 0 {
		t.Errorf("4-10 = %d", d)
	}
	b, err := json.Marshal(struct{ At LSN }{0x16B374D848})
	if err != nil || string(b) != `{"At":"16/B374D848"}` {
		t.Errorf("Marshal = %s, %v", b, err)
	}
	var v struct{ At LSN }
	if err := json.Unmarshal(b, &v); err != nil || v.At != 0x16B374D848 {
		t.Errorf("Unmarshal = %s, %v", v.At, err)
	}
	if err := json.Unmarshal([]byte(`{"At":"nonsense"}`), &v); err == nil {
		t.Error("nonsense is no LSN")
	}
}

func TestIDsPrint(t *testing.T) {
	t.Parallel()
	if NoNode.String() != "none" || NodeID(2).String() != "2" {
		t.Error("NodeID")
	}
	if SystemID(7189234567890123456).String() != "7189234567890123456" || TimelineID(3).String() != "3" {
		t.Error("SystemID, TimelineID")
	}
}

func TestWALFileName(t *testing.T) {
	t.Parallel()
	const seg = 16 << 20
	for _, tt := range []struct {
		tli  TimelineID
		lsn  LSN
		seg  uint64
		name string
	}{
		{1, 0x353F6F0, seg, "000000010000000000000003"},
		{2, 0x16B374D848, seg, "0000000200000016000000B3"},
		{1, 0xFF000000, seg, "0000000100000000000000FF"},
		{1, 0x100000000, seg, "000000010000000100000000"},
		{1, 0x5000000, 1 << 20, "000000010000000000000050"},
	} {
		if got := WALFileName(tt.tli, tt.lsn, tt.seg); got != tt.name {
			t.Errorf("WALFileName(%s, %s) = %s, want %s", tt.tli, tt.lsn, got, tt.name)
		}
		tli, start, ok := ParseWALFileName(tt.name, tt.seg)
		if !ok || tli != tt.tli || start != tt.lsn-tt.lsn%LSN(tt.seg) {
			t.Errorf("ParseWALFileName(%s) = %s, %s, %v", tt.name, tli, start, ok)
		}
	}
	for _, name := range []string{"", "00000002.history", "00000001000000000000000", "0000000100000000000000ff",
		"000000010000000000000100", "00000001000000000000000G", "000000010000000000000003.partial"} {
		if _, _, ok := ParseWALFileName(name, seg); ok {
			t.Errorf("%q is taken for a segment", name)
		}
	}
	if HistoryFileName(2) != "00000002.history" {
		t.Error("HistoryFileName")
	}
}

func FuzzParseLSN(f *testing.F) {
	for _, s := range []string{"0/0", "16/B374D848", "FFFFFFFF/FFFFFFFF", "", "1/2/3", "g/1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		l, err := ParseLSN(s)
		if err != nil {
			return
		}
		if again, err := ParseLSN(l.String()); err != nil || again != l {
			t.Fatalf("%q parsed as %s, which parses as %s, %v", s, l, again, err)
		}
	})
}

// FuzzWALFileName: a name is a segment's only if it is what that segment is called.
func FuzzWALFileName(f *testing.F) {
	f.Add("000000010000000000000003", uint8(4))
	f.Add("000000010000000100000FFF", uint8(0))
	f.Add("+00000010000000000000003", uint8(4))
	f.Fuzz(func(t *testing.T, name string, size uint8) {
		segment := uint64(1<<20) << (size % 11) // 1 MiB to 1 GiB
		tli, start, ok := ParseWALFileName(name, segment)
		if !ok {
			return
		}
		if again := WALFileName(tli, start, segment); again != name || uint64(start)%segment != 0 {
			t.Errorf("%q begins at %s on %s, and is called %q", name, start, tli, again)
		}
	})
}
