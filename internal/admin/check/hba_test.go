package check

import (
	"math/rand/v2"
	"net/netip"
	"os/exec"
	"reflect"
	"slices"
	"strings"
	"testing"
)

func TestFirstRuleThatFitsDecides(t *testing.T) {
	all := rules(
		`local all all peer`,
		`# a comment`,
		`host "my db",app  alice, bob 10.1.0.0/16 md5`,
		`hostssl all repool 10.2.0.0 255.255.0.0 scram-sha-256 clientcert=verify-ca`,
		`hostnossl all repool 10.3.0.0/16 trust`,
		`host replication repl samehost \`,
		`  scram-sha-256 # continued`,
		`host all all all reject`,
		`nonsense`,
	)
	for _, c := range []struct {
		name string
		conn HBAConn
		line int
	}{
		{"socket", HBAConn{Database: "app", User: "x"}, 1},
		{"quoted name with a blank", conn("10.1.2.3", "my db", "alice", false), 3},
		{"list of users", conn("10.1.2.3", "app", "bob", false), 3},
		{"older form of a network, with SSL", conn("10.2.9.9", "x", "repool", true), 4},
		{"the same without SSL", conn("10.2.9.9", "x", "repool", false), 8},
		{"only without SSL", conn("10.3.9.9", "x", "repool", false), 5},
		{"IPv4 in IPv6", conn("::ffff:10.3.9.9", "x", "repool", false), 5},
		{"all is not replication", HBAConn{From: netip.MustParseAddr("10.3.9.9"), Replication: true, User: "repool"}, 0},
		{"replication on the same host", HBAConn{From: netip.MustParseAddr("127.0.0.1"), Replication: true, User: "repl"}, 6},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, ok := MatchHBA(all, c.conn)
			if ok != (c.line > 0) || r.Line != c.line {
				t.Errorf("line %d (%v), want %d", r.Line, ok, c.line)
			}
		})
	}
}

func conn(from, db, user string, ssl bool) HBAConn {
	return HBAConn{From: netip.MustParseAddr(from), Database: db, User: user, SSL: ssl}
}

func TestHBALineIsReadBackAsItIsMeant(t *testing.T) {
	for _, c := range []HBAConn{
		conn("10.0.0.1", "postgres", "repool", false), conn("fd00::1", "my db", "re,pool", false),
		{Database: "postgres", User: "repool"}, {Replication: true, From: netip.MustParseAddr("10.0.0.1"), User: "repool"},
	} {
		line := HBALine(c, "md5")
		r, ok := MatchHBA(rules(line), c)
		if !ok || r.Method != "md5" {
			t.Errorf("%q does not let %+v in: %+v", line, c, r)
		}
	}
}

func TestIncludesAreTold(t *testing.T) {
	if _, partial := ParseHBA("f", "include_dir 'more'\n"); !partial {
		t.Error("an include was passed over")
	}
}

func FuzzParseHBA(f *testing.F) {
	f.Add("host all all 127.0.0.1/32 md5\n")
	f.Add("local \"a b\",c all peer map=x\\\n y\n")
	f.Add("host all all 1.2.3.4 255.0.0.0 trust")
	f.Fuzz(func(t *testing.T, text string) {
		a, _ := ParseHBA("f", text)
		b, _ := ParseHBA("f", text)
		if !reflect.DeepEqual(a, b) {
			t.Error("not the same twice")
		}
		last := 0
		for _, r := range a {
			if r.File != "f" || r.Line <= last || r.Line > strings.Count(text, "\n")+1 || r.Method == "" {
				t.Errorf("%+v, after line %d", r, last)
			}
			last = r.Line
		}
		for _, c := range HBAConns("repool", "postgres", "repl") {
			c.From = netip.MustParseAddr("10.0.0.1")
			MatchHBA(a, c)
		}
	})
}

func TestShellWords(t *testing.T) {
	for line, want := range map[string][]string{
		`/usr/bin/repool hook failover "" 'a b' c\ d`: {"/usr/bin/repool", "hook", "failover", "", "a b", "c d"},
		``:         nil,
		`a"b"'c'`:  {"abc"},
		`"x\"y" z`: {`x"y`, "z"},
	} {
		if got := shellWords(line); !reflect.DeepEqual(got, want) {
			t.Errorf("%s → %q, want %q", line, got, want)
		}
	}
}

// FuzzHBALine: a line that is written for a connection is the one that lets it in,
// and nobody else.
func FuzzHBALine(f *testing.F) {
	f.Add("repool", "postgres", "10.0.0.1", false)
	f.Add("all", "a b,c", "fe80::1", true)
	f.Add("+group", "#1", "", true)
	f.Fuzz(func(t *testing.T, user, database, from string, replication bool) {
		if strings.ContainsAny(user+database, "\"\r\n\x00") || user == "" || database == "" {
			return // no name that PostgreSQL's own files could hold
		}
		c := HBAConn{User: user, Database: database, Replication: replication}
		if addr, err := netip.ParseAddr(from); err == nil {
			c.From = addr.Unmap().WithZone("")
		}
		rules, partial := ParseHBA("f", HBALine(c, "scram-sha-256"))
		got, ok := MatchHBA(rules, c)
		if !ok || partial || got.Method != "scram-sha-256" {
			t.Errorf("%q lets %+v not in: %+v", HBALine(c, "scram-sha-256"), c, rules)
		}
		other := c
		other.User += "x"
		if _, ok := MatchHBA(rules, other); ok && user != "all" {
			t.Errorf("%q lets %+v in too", HBALine(c, "scram-sha-256"), other)
		}
	})
}

// FuzzShellWords puts words into a line, as a person may, and finds them again.
func FuzzShellWords(f *testing.F) {
	f.Add("/usr/bin/repool", "a b", `c\'d`)
	f.Add("", `"`, "\t")
	f.Fuzz(func(t *testing.T, a, b, c string) {
		_ = shellWords(a)
		quote := strings.NewReplacer("'", `'\''`)
		line := "'" + quote.Replace(a) + "'  '" + quote.Replace(b) + "'\t'" + quote.Replace(c) + "'"
		if got := shellWords(line); !reflect.DeepEqual(got, []string{a, b, c}) {
			t.Errorf("%s is split into %q", line, got)
		}
	})
}

// TestShellWordsAreTheShells: on lines of blanks, quotes and backslashes the
// shell itself is the judge.
func TestShellWordsAreTheShells(t *testing.T) {
	random := rand.New(rand.NewPCG(15, 435))
	read := 0
	for range 300 {
		var b strings.Builder
		for range 1 + random.IntN(10) {
			b.WriteByte("ab  '\"\\"[random.IntN(7)])
		}
		line := b.String()
		out, err := exec.CommandContext(t.Context(), "/bin/sh", "-c", "set -- "+line+"\nprintf '%s\\0' \"$@\"").Output()
		if err != nil || strings.HasSuffix(line, `\`) {
			continue // a quote is left open, or the line goes on
		}
		read++
		want := strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00")
		if got := shellWords(line); !slices.Equal(got, want) && len(got)+len(strings.Join(want, "")) > 0 {
			t.Errorf("%s: got %q, the shell has %q", line, got, want)
		}
	}
	if read < 50 {
		t.Errorf("%d lines only", read)
	}
}
