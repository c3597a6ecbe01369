package pgdata

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

func TestParseConf(t *testing.T) {
	t.Parallel()
	text := "# comment\nport = 5433 # here\nListen_Addresses='a,b'\nwork_mem 4MB\n\nprimary_conninfo = 'host=''h'' " +
		"password=\\'x\\\\\\'' \n" +
		"my.ext='t\\tab\\101'\nport 5434\ninclude 'other.conf'\nwal_keep_size=-1\r\narchive_command''\n"
	c, err := ParseConf(text)
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string]string{
		"port": "5434", "listen_addresses": "a,b", "work_mem": "4MB", "primary_conninfo": `host='h' password='x\'`,
		"my.ext": "t\tabA", "wal_keep_size": "-1", "include": "other.conf", "archive_command": "",
	} {
		got, ok := c.Get(name)
		if got != value || !ok {
			t.Errorf("%s: got %q %v, want %q", name, got, ok, value)
		}
	}
	if _, ok := c.Get("nothing"); ok {
		t.Error("a setting was found that is not there")
	}
	want(t, "line", c[len(c)-1].Line, 11)
}

func TestBadConfLinesAreNumbered(t *testing.T) {
	t.Parallel()
	for _, line := range []string{"= 5", "port", "port =", "port = 'x", "port = 1 2", "listen_addresses = *", "a-b = 1"} {
		_, err := ParseConf("ok = 1\n" + line)
		var ce *ConfError
		if !errors.As(err, &ce) || ce.Line != 2 {
			t.Errorf("%q: got error %v, want one for line 2", line, err)
		}
	}
}

func TestSetConf(t *testing.T) {
	t.Parallel()
	text := "# Do not edit\nprimary_conninfo = 'old'\nport = 1\nrecovery_target = 'immediate'\nport = 2\nodd line " +
		"!\nPrimary_Conninfo = 'older still wins'\n"
	got := SetConf(text, map[string]string{"primary_conninfo": `it's a \ back`, "Primary_Slot_Name": "n1"},
		[]string{"recovery_target", "absent"})
	want(t, "text", got, "# Do not edit\nport = 2\nodd line !\nprimary_conninfo = 'it''s a \\\\ "+
		"back'\nprimary_slot_name = 'n1'\n")
	want(t, "twice", SetConf(got, map[string]string{"primary_conninfo": `it's a \ back`, "primary_slot_name": "n1"},
		nil), got)
	want(t, "nothing left", SetConf("a = 1\n", nil, []string{"A"}), "")
	want(t, "set beats remove", SetConf("a = 1", map[string]string{"a": "2"}, []string{"a"}), "a = '2'\n")
	want(t, "includes stay", SetConf("include 'a'\ninclude 'b'\n", nil, nil), "include 'a'\ninclude 'b'\n")
}

// PostgreSQL itself reads what SetConf wrote, value for value.
func TestPostgreSQLReadsWhatSetConfWrote(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	value := "a'b\\c \"d\" $e\tf ' ''"
	path := filepath.Join(c.data, "postgresql.auto.conf")
	text := SetConf("# keep\n", map[string]string{"my.value": value, "cluster_name": "x'y"}, nil)
	if err := ReplaceFile(path, []byte(text)); err != nil {
		t.Fatal(err)
	}
	want(t, "postgres -C", c.run("postgres", "-D", c.data, "-C", "my.value"), value+"\n")
	want(t, "postgres -C", c.run("postgres", "-D", c.data, "-C", "cluster_name"), "x'y\n")
}

func TestReplaceFileKeepsModeAndFollowsLinks(t *testing.T) {
	t.Parallel()
	dir := tree(t, map[string]string{"real/auto.conf": "old"})
	real, link := filepath.Join(dir, "real/auto.conf"), filepath.Join(dir, "link")
	if err := errors.Join(os.Chmod(real, 0o640), os.Symlink(real, link)); err != nil {
		t.Fatal(err)
	}
	if os.Geteuid() == 0 {
		if err := os.Chown(real, 12345, 12346); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(ReplaceFile(link, []byte("new")), ReplaceFile(filepath.Join(dir, "fresh"), nil)); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(real)
	want(t, "content", fmt.Sprintf("%s %v", b, err), "new <nil>")
	st, err := os.Stat(real)
	if err != nil || st.Mode().Perm() != 0o640 || os.Geteuid() == 0 && ownerOf(st) != 12345 {
		t.Errorf("mode and owner: got %v, %v", st, err)
	}
	if _, err := os.Readlink(link); err != nil {
		t.Errorf("the link was replaced: %v", err)
	}
	if st, err = os.Stat(filepath.Join(dir, "fresh")); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("new file: got %v, %v", st, err)
	}
	left, err := os.ReadDir(filepath.Join(dir, "real"))
	want(t, "files left", fmt.Sprint(len(left), err), "1 <nil>")
	if err := ReplaceFile(filepath.Join(dir, "no/such/folder"), nil); err == nil {
		t.Error("no error for a folder that is not there")
	}
}
