package pcp

import (
	"errors"
	"math"
	"strings"
	"testing"
	"time"
)

// TestCapture reads what a real pool sent, through the functions for each part.
func TestCapture(t *testing.T) {
	t.Parallel()
	var nodes, health, procs, failures int
	for _, m := range captured(t) {
		if m.tag == tagError || m.tag == tagNotice {
			failures++
			if _, err := parseServerError(m.payload); err != nil {
				t.Errorf("%q: %v", m.payload, err)
			}
			continue
		}
		f, err := fields(m.payload)
		if m.tag == 'm' || m.tag == 'b' {
			continue // binary
		}
		if err != nil {
			t.Fatal(err)
		}
		switch {
		case f[0] == "NodeInfo":
			nodes++
			_, err = parseNodeInfo(f[1:])
		case m.tag == 'h':
			health++
			_, err = parseHealthStats(f[1:], time.UTC)
		case f[0] == "ProcessInfo":
			procs++
			_, err = parseProcessInfo(f[1:], time.UTC)
		}
		if err != nil {
			t.Errorf("%q: %v", m.payload, err)
		}
	}
	if nodes != 3 || health != 2 || procs != 2 || failures < 8 {
		t.Errorf("read %d node infos, %d health stats, %d process infos, %d errors", nodes, health, procs, failures)
	}
}

// TestAnnotatedCapture plays the documented session, to the end.
func TestAnnotatedCapture(t *testing.T) {
	t.Parallel()
	var session [][]byte
	for _, m := range captured(t)[3:6] {
		session = append(session, frame(m.tag, string(m.payload)))
	}
	c := dialScript(t, expect('I', "0\x00"), send(session...), expect('C', "2\x00"), send(done('c')), expect('X', ""))
	n, err := c.NodeInfo(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	if !math.IsNaN(n.Weight) || n.Port != 25430 || n.Role != RolePrimary || n.PgRole != "primary" || !n.Attached() {
		t.Errorf("got %+v", n)
	}
	if err := c.AttachNode(t.Context(), 2); err != nil {
		t.Error(err)
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
}

func node(change map[int]string) []string {
	f := []string{"db1", "5432", "2", "0", "up", fullWeight, "2", "primary", "0", "0", "", "", "1795376156"}
	for i, s := range change {
		f[i] = s
	}
	return f
}

func TestNodeInfoFields(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]map[int]string{
		"port too large":       {1: "65536"},
		"port is no number":    {1: ""},
		"status 4":             {2: "4"},
		"status -1":            {2: "-1"},
		"quarantine 2":         {3: "2"},
		"role 4":               {6: "4"},
		"delay flag 2":         {8: "2"},
		"time is no number":    {12: "yesterday"},
		"time before the time": {12: "-1"},
	} {
		if n, err := parseNodeInfo(node(change)); !errors.Is(err, ErrProtocol) {
			t.Errorf("%s: got %+v, %v", name, n, err)
		}
	}
	for _, weight := range []string{"-nan", "nan", "", "0,5", "heavy"} {
		if n, err := parseNodeInfo(node(map[int]string{5: weight})); err != nil || !math.IsNaN(n.Weight) {
			t.Errorf("weight %q: %v, %v", weight, n.Weight, err)
		}
	}
	for _, change := range []map[int]string{{9: "-1"}, {9: ""}, {8: "1", 9: "18446744073709551615"}} {
		n, err := parseNodeInfo(node(change))
		if err != nil || !n.DelayUnknown || n.DelayBytes != 0 || n.DelayTime != 0 {
			t.Errorf("delay %v: %+v, %v", change, n, err)
		}
	}
	if n, err := parseNodeInfo(node(map[int]string{12: "0"})); err != nil || !n.LastStatusChange.IsZero() {
		t.Errorf("never changed: %v, %v", n.LastStatusChange, err)
	}
}

func TestAttached(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		status     NodeStatus
		quarantine bool
		text       string
		want       bool
	}{
		{StatusUnused, false, "unused", false},
		{StatusWaiting, false, "waiting", true},
		{StatusUp, false, "up", true},
		{StatusUp, true, "quarantine", false},
		{StatusDown, false, "down", false},
		{StatusDown, true, "quarantine", false},
	} {
		if got := (NodeInfo{Status: tc.status, Quarantine: tc.quarantine}).Attached(); got != tc.want {
			t.Errorf("node info %v, quarantine %v: %v", tc.status, tc.quarantine, got)
		}
		if got := (HealthStats{Status: tc.text}).Attached(); got != tc.want {
			t.Errorf("health stats %s: %v", tc.text, got)
		}
	}
}

func TestWords(t *testing.T) {
	t.Parallel()
	var got []string
	for i := range 5 {
		got = append(got, NodeStatus(i).String(), NodeRole(i).String(), Quorum(i-2).String())
	}
	want := "unused main unknown waiting replica lost up primary edge down standby held unknown(4) unknown(4) unknown"
	if s := strings.Join(got, " "); s != want {
		t.Errorf("got  %s\nwant %s", s, want)
	}
}

func TestWatchdogIsLenient(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		text   string
		leader bool
		quorum Quorum
	}{
		"a leader with quorum": {`{"QuorumStatus":1,"WatchdogNodes":[{"State":4}]}`, true, QuorumHeld},
		"a leader left alone":  {`{"QuorumStatus":-1,"WatchdogNodes":[{"State":4}]}`, true, QuorumLost},
		"another one leads":    {`{"QuorumStatus":1,"WatchdogNodes":[{"State":7},{"State":4}]}`, false, QuorumHeld},
		"nothing told":         {`{"WatchdogNodes":[{}]}`, false, QuorumUnknown},
		"null":                 {`{"QuorumStatus":null,"WatchdogNodes":[null]}`, false, QuorumUnknown},
		"texts for numbers": {`{"QuorumStatus":"1","WatchdogNodes":[{"State":"4","HostName":"a"}]}`, false,
			QuorumUnknown},
		"a text for a member":      {`{"QuorumStatus":1,"WatchdogNodes":["me",{"State":4}]}`, false, QuorumHeld},
		"a type that does not fit": {`{"Escalated":[1],"QuorumStatus":1,"WatchdogNodes":[{"State":4}]}`, true, QuorumHeld},
		"one member has a wrong one": {`{"WatchdogNodes":[{"State":4,"Priority":"high"}],"QuorumStatus":1}`, true,
			QuorumHeld},
	} {
		w, err := parseWatchdog(tc.text)
		if err != nil || w.LeaderHere() != tc.leader || w.Quorum != tc.quorum {
			t.Errorf("%s: %+v, %v", name, w, err)
		}
		if self := w.Self(); !tc.leader && self.State == 0 {
			t.Errorf("%s: a state that nobody told: %+v", name, self)
		}
	}
	if (WatchdogInfo{}).LeaderHere() {
		t.Error("nobody leads")
	}
	for _, text := range []string{"", "null", "[]", `{"WatchdogNodes":[]}`, `{"WatchdogNodes":"none"}`, "{"} {
		if w, err := parseWatchdog(text); !errors.Is(err, ErrProtocol) {
			t.Errorf("%q: %+v, %v", text, w, err)
		}
	}
}

func TestWatchdogMemberUnknown(t *testing.T) {
	t.Parallel()
	none := `{"QuorumStatus":1,"WatchdogNodes":[{"ID":-1,"State":-1,"NodeName":"Not_Set"}]}`
	c := dialScript(t, expect('W', "7\x00"), send(texts('w', "CommandComplete", none)))
	if w, err := c.WatchdogNode(t.Context(), 7); err == nil || errors.Is(err, ErrProtocol) {
		t.Errorf("got %+v, %v", w, err)
	}
}

func TestErrorText(t *testing.T) {
	t.Parallel()
	e, err := parseServerError([]byte("SERROR\x00CXX000\x00Mno\x1b[31m\xff way\x00Dbecause\x00Htry " +
		"it\nagain\x00Zodd\x00cut off"))
	if err != nil {
		t.Fatal(err)
	}
	if want := "ERROR: no [31m? way: because (hint: try it again)"; e.Error() != want {
		t.Errorf("got %q, expected %q", e.Error(), want)
	}
}

func TestServerTimes(t *testing.T) {
	t.Parallel()
	zone := time.FixedZone("pool", 3600)
	if got := parseServerTime("2026-11-22 21:53:00", zone); !got.Equal(at("20:53:00")) {
		t.Errorf("got %v", got)
	}
	for _, s := range []string{"", "2026-11-22", "a quarter past nine o'clock"} {
		if got := parseServerTime(s, zone); !got.IsZero() {
			t.Errorf("%q: got %v", s, got)
		}
	}
	for _, s := range []string{"-nan", "-1", "inf", "", "1e300"} {
		if got := milliseconds(s); got != 0 {
			t.Errorf("%q: got %v", s, got)
		}
	}
}
