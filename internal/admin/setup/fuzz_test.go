package setup

import (
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgpassfile"

	"github.com/repool/repool/pcp"
)

// FuzzPassLine: what setup writes into a passfile is what both readers find, the
// one of .pgpass and the one of .pcppass.
func FuzzPassLine(f *testing.F) {
	f.Add("10.0.0.1", "repool", "s3cret")
	f.Add("fe80::1", `a\b`, `c:\`)
	f.Fuzz(func(t *testing.T, host, user, password string) {
		if all := host + user + password; strings.ContainsAny(all, "\r\n\x00") || host == "" || user == "" ||
			password == "" || host == "*" || user == "*" || strings.HasPrefix(host, "#") || len(all) > 500 ||
			strings.TrimSpace(all) != all {
			return
		}
		entries, err := pgpassfile.ParsePassfile(strings.NewReader(passLine(host, "5432", "*", user, password) + "\n"))
		if err != nil {
			t.Fatal(err)
		}
		if got := entries.FindPassword(host, "5432", "postgres", user); got != password {
			t.Errorf(".pgpass: got %q, want %q", got, password)
		}
		file := t.TempDir() + "/.pcppass"
		write(t, file, passLine(host, "9898", user, password)+"\n", 0o600)
		if got, err := pcp.LookupPassword(file, host, "9898", user, false); err != nil || got != password {
			t.Errorf(".pcppass: got %q, %v, want %q", got, err, password)
		}
	})
}

// FuzzBlock: the lines of ours get into a pg_hba.conf, before its first rule where
// there is no block yet, and every line that was there stays whole and in order.
func FuzzBlock(f *testing.F) {
	f.Add("local all all peer\n", "host all repool 10.0.0.1/32 md5")
	f.Add("# c\n"+hbaBegin+"\nold\n"+hbaEnd+"\nlocal all all peer", "new")
	f.Add(hbaBegin, "new")
	f.Add("local all all peer "+hbaBegin+"\nlocal all a peer "+hbaEnd+"\n", "new")
	f.Fuzz(func(t *testing.T, text, line string) {
		if strings.ContainsAny(line, "\r\n") || strings.Contains(line, "# repool") || line == "" {
			return
		}
		got := strings.Split(withBlock(text, []string{line}), "\n")
		at := slices.Index(got, line)
		if at < 0 {
			t.Fatalf("%q has no line %q", got, line)
		}
		rest := slices.Clone(got)
		for _, was := range strings.Split(strings.TrimSuffix(text, "\n"), "\n") {
			i := slices.Index(rest, was)
			if i < 0 && was != "" {
				t.Fatalf("the line %q of %q is lost in %q", was, text, got)
			}
			rest = rest[i+1:]
		}
		if strings.Contains(text, "# repool") {
			return
		}
		for _, before := range got[:at] {
			if b := strings.TrimSpace(before); b != "" && b[0] != '#' {
				t.Errorf("%q comes before ours in %q", before, got)
			}
		}
	})
}
