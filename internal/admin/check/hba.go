package check

import (
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
)

// HBARule is one line of pg_hba.conf.
type HBARule struct {
	File string
	Line int
	// Type is local, host, hostssl, hostnossl, hostgssenc or hostnogssenc.
	Type             string
	Databases, Users []string
	// Address is as written: all, samehost, samenet, a host name, an address
	// or a network. Mask is the netmask of the older form.
	Address, Mask string
	Method        string
	// Resolved are the addresses of a host name.
	Resolved []netip.Addr
}

// HBAConn is a connection to be matched against the rules.
type HBAConn struct {
	// From is the zero value for a unix socket.
	From netip.Addr
	// SSL says that the server offers it: a client that prefers it uses it.
	SSL bool
	// Replication says that it is a physical replication connection, which matches no
	// database.
	Replication    bool
	Database, User string
}

// MatchHBA returns the first rule that matches, which decides about the connection.
// Not ok: none does, and the server refuses. What cannot be judged here (groups,
// regular expressions, files of names) does not match.
func MatchHBA(rules []HBARule, c HBAConn) (rule HBARule, ok bool) {
	i := slices.IndexFunc(rules, func(r HBARule) bool { return r.fits(c) })
	if i < 0 {
		return HBARule{}, false
	}
	return rules[i], true
}

// Refuses says whether the rule turns away everybody with a password: reject, and
// ident, which asks a service that hardly any machine runs.
func (r HBARule) Refuses() bool {
	return r.Method == "reject" || r.Method == "ident" && r.Type != "local"
}

func (r HBARule) fits(c HBAConn) bool {
	switch r.Type {
	case "local":
		if c.From.IsValid() {
			return false
		}
	case "host", "hostnogssenc":
	case "hostssl":
		if !c.SSL {
			return false
		}
	case "hostnossl":
		if c.SSL {
			return false
		}
	default:
		return false
	}
	if r.Type != "local" && !(c.From.IsValid() && r.from(c.From)) {
		return false
	}
	db := slices.ContainsFunc(r.Databases, func(d string) bool {
		if c.Replication {
			return d == "replication"
		}
		return d == "all" || d == c.Database || d == "sameuser" && c.Database == c.User
	})
	return db && (slices.Contains(r.Users, "all") || slices.Contains(r.Users, c.User))
}

// from says whether the rule's address covers a.
func (r HBARule) from(a netip.Addr) bool {
	a = a.Unmap()
	switch r.Address {
	case "all":
		return true
	case "samehost", "samenet":
		return a.IsLoopback()
	}
	if p, err := netip.ParsePrefix(r.Address); err == nil {
		return p.Contains(a)
	}
	if addr, err := netip.ParseAddr(r.Address); err == nil {
		if mask, err := netip.ParseAddr(r.Mask); err == nil {
			p, err := addr.Prefix(ones(mask))
			return err == nil && p.Contains(a)
		}
		return addr.Unmap() == a
	}
	return slices.Contains(r.Resolved, a)
}

// ones counts the leading one bits of a netmask.
func ones(mask netip.Addr) int {
	n := 0
	for _, b := range mask.AsSlice() {
		for ; b&0x80 != 0; b <<= 1 {
			n++
		}
	}
	return n
}

// ParseHBA reads the text of a pg_hba.conf. It skips invalid lines, which
// PostgreSQL would refuse to load. partial says that the file includes others,
// whose rules are missing here.
func ParseHBA(file, text string) (rules []HBARule, partial bool) {
	lines := strings.Split(text, "\n")
	for i := 0; i < len(lines); i++ {
		at, line := i+1, lines[i]
		for strings.HasSuffix(line, `\`) && i+1 < len(lines) { // continued on the next line
			i++
			line = strings.TrimSuffix(line, `\`) + lines[i]
		}
		fields := hbaFields(line)
		if len(fields) == 0 {
			continue
		}
		if strings.HasPrefix(fields[0][0], "include") {
			partial = true
			continue
		}
		if r, ok := hbaRule(fields); ok {
			r.File, r.Line = file, at
			rules = append(rules, r)
		}
	}
	return rules, partial
}

func hbaRule(f [][]string) (HBARule, bool) {
	r := HBARule{Type: f[0][0]}
	want := 5
	if r.Type == "local" {
		want = 4
	}
	if len(f) < want || !strings.HasPrefix(r.Type, "host") && r.Type != "local" {
		return HBARule{}, false
	}
	r.Databases, r.Users, r.Method = f[1], f[2], f[want-1][0]
	if r.Type == "local" {
		return r, r.Method != ""
	}
	r.Address = f[3][0]
	if _, err := netip.ParseAddr(r.Address); err == nil && len(f) > 5 {
		if _, err := netip.ParseAddr(f[4][0]); err == nil {
			r.Mask, r.Method = f[4][0], f[5][0]
		}
	}
	return r, r.Method != ""
}

// hbaFields splits a line into fields, and these at commas. Quotes keep blanks and
// commas in a word; that a quoted keyword is an ordinary name is ignored.
func hbaFields(line string) [][]string {
	var fields [][]string
	var words []string
	var b strings.Builder
	in, quoted, comma := false, false, false
	word := func() {
		if in {
			words = append(words, b.String())
			b.Reset()
			in, comma = false, false
		}
	}
	field := func() {
		word()
		if len(words) > 0 && !comma {
			fields = append(fields, words)
			words = nil
		}
	}
	for i := 0; i < len(line); i++ {
		switch c := line[i]; {
		case c == '"':
			quoted = !quoted
			in = true
		case quoted:
			b.WriteByte(c)
		case c == '#':
			i = len(line)
		case c == ',':
			word()
			comma = true
		case c == ' ' || c == '\t' || c == '\r':
			field()
		default:
			b.WriteByte(c)
			in = true
		}
	}
	comma = false
	field()
	return fields
}

// inDir makes a relative path from a configuration absolute.
func inDir(dir, path string) string {
	if path == "" || filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(dir, path)
}

// HBAConns are the two kinds of connection that repool and standbys open.
func HBAConns(user, db, standbyUser string) []HBAConn {
	return []HBAConn{{Database: db, User: user}, {Replication: true, User: standbyUser}}
}

// HBALine is the rule that allows exactly this connection.
func HBALine(c HBAConn, method string) string {
	db := hbaWord(c.Database)
	if c.Replication {
		db = "replication"
	}
	if !c.From.IsValid() {
		return strings.Join([]string{"local", db, hbaWord(c.User), method}, "\t")
	}
	return strings.Join([]string{"host", db, hbaWord(c.User), netip.PrefixFrom(c.From, c.From.BitLen()).String(),
		method}, "\t")
}

// hbaWord quotes a name if it must be.
func hbaWord(s string) string {
	if strings.ContainsAny(s, " \t,#\"@+/") ||
		slices.Contains([]string{"all", "replication", "sameuser", "samerole", "samegroup"}, s) {
		return `"` + s + `"`
	}
	return s
}

func where(c HBAConn) string {
	if !c.From.IsValid() {
		return "unix socket"
	}
	return c.From.String()
}

// Sources are the addresses of connections from n to the server of to; the zero
// address is a unix socket.
func (n *NodeFacts) Sources(to *NodeFacts) []netip.Addr {
	if to.Conf.Host == "" || filepath.IsAbs(to.Conf.Host) {
		return []netip.Addr{{}}
	}
	return n.Addresses
}
