package pgpoolconf

import (
	"strings"
	"testing"
	"time"
)

func parseText(t testing.TB, text string) *File {
	t.Helper()
	f, err := Parse("p.conf", text)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// lookup is the setting that counts, of a text that has it.
func lookup(t testing.TB, text, name string) Setting {
	t.Helper()
	set, ok := parseText(t, text).Lookup(name)
	if !ok {
		t.Fatalf("%q has no %s", text, name)
	}
	return set
}

func TestBool(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]bool{
		"on": true, "ON": true, "true": true, "t": true, "tr": true, "yes": true, "Y": true, "1": true,
		"off": false, "of": false, "false": false, "F": false, "no": false, "n": false, "0": false,
	} {
		got, err := lookup(t, "use_watchdog = '"+value+"'", "use_watchdog").Bool()
		if err != nil || got != want {
			t.Errorf("%q: %v %v", value, got, err)
		}
	}
	for _, value := range []string{"", "o", "onn", "trueish", "10", "2", "disabled"} {
		_, err := lookup(t, "\nuse_watchdog = '"+value+"'", "use_watchdog").Bool()
		want := "p.conf:2: use_watchdog = '" + value + "': not a boolean, and Pgpool-II takes it for on; write on or off"
		if err == nil || err.Error() != want {
			t.Errorf("%q: %v", value, err)
		}
	}
}

func TestInt(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]int64{
		"5": 5, "+5": 5, "-5": -5, "0x1F": 31, "0X1f": 31, "010": 8, "-010": -8, " 7 ": 7, "0": 0,
		"1.5": 2, "2.5": 2, "2.6": 3, "1e3": 1000, ".5": 0, "010.5": 10,
	} {
		got, err := lookup(t, "x = '"+value+"'", "x").number("")
		if err != nil || got != want {
			t.Errorf("%q: %v %v", value, got, err)
		}
	}
	for _, value := range []string{"", " ", "abc", "5s", "5 s", "09", "0x", "-", "1e400", "99999999999999999999", "nan",
		"inf", "5 6"} {
		if got, err := lookup(t, "x = '"+value+"'", "x").number(""); err == nil {
			t.Errorf("%q is taken for %d", value, got)
		}
	}
}

func TestDuration(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		value string
		base  time.Duration
		want  time.Duration
	}{
		{"5", time.Second, 5 * time.Second},
		{"5", time.Millisecond, 5 * time.Millisecond},
		{"5", time.Minute, 5 * time.Minute},
		{"5s", time.Millisecond, 5 * time.Second},
		{"5 min", time.Second, 5 * time.Minute},
		{" 2h ", time.Second, 2 * time.Hour},
		{"1d", time.Second, 24 * time.Hour},
		{"1.5min", time.Second, 90 * time.Second},
		{"400ms", time.Second, 0},
		{"600ms", time.Second, time.Second},
		{"2500us", time.Millisecond, 2 * time.Millisecond},
		{"-1", time.Second, -time.Second},
	} {
		got, err := lookup(t, "x = '"+c.value+"'", "x").duration(c.base)
		if err != nil || got != c.want {
			t.Errorf("%q in %v: %v %v", c.value, c.base, got, err)
		}
	}
	for _, value := range []string{"", "s", "5m", "5S", "5kB", "5 s x", "999999999999d"} {
		if got, err := lookup(t, "x = '"+value+"'", "x").duration(time.Second); err == nil {
			t.Errorf("%q is taken for %v", value, got)
		}
	}
	if _, err := lookup(t, "x = 5", "x").duration(time.Hour); err == nil {
		t.Error("hours are no base unit")
	}
}

func TestBytes(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		value, base string
		want        int64
	}{
		{"5", "B", 5}, {"5", "kB", 5}, {"5kB", "B", 5120}, {"1MB", "kB", 1 << 10}, {"1.5GB", "B", 3 << 29},
		{"2TB", "B", 2 << 40}, {"100B", "kB", 0}, {"1023B", "kB", 1},
	} {
		got, err := lookup(t, "x = '"+c.value+"'", "x").number(c.base)
		if err != nil || got != c.want {
			t.Errorf("%q in %s: %v %v", c.value, c.base, got, err)
		}
	}
	for _, value := range []string{"", "5KB", "5mb", "5s", "9000000TB"} {
		if got, err := lookup(t, "x = '"+value+"'", "x").number("B"); err == nil {
			t.Errorf("%q is taken for %d", value, got)
		}
	}
}

func TestGettersRefuseOddValues(t *testing.T) {
	t.Parallel()
	const text = "failover_command =\nuse_watchdog\nport = /tmp\nrecovery_password =\n"
	want := "p.conf:1: failover_command = '\\n': the value is missing: Pgpool-II takes the end of the line as the value"
	if _, err := lookup(t, text, "failover_command").text(); err == nil || err.Error() != want {
		t.Errorf("string: %v", err)
	}
	if _, err := lookup(t, text, "use_watchdog").Bool(); err == nil {
		t.Error("no error for a boolean without a value")
	}
	if _, err := lookup(t, text, "port").number(""); err == nil {
		t.Error("no error for half a path")
	}
}

func TestPasswordsAreNotShown(t *testing.T) {
	t.Parallel()
	set := Setting{Name: "health_check_password0", Value: "secret", File: "p.conf", Line: 3}
	if err := (&ValueError{Setting: set, Msg: "wrong"}); strings.Contains(err.Error(), "secret") {
		t.Errorf("error shows the password: %v", err)
	}
}

func TestUnitWithoutNodeIndex(t *testing.T) {
	t.Parallel()
	const text = "connect_timeout = 5s\nconnect_timeout1 = 5s\n"
	want := "p.conf:1: connect_timeout = '5s': a unit or anything else after the number is not accepted here; " +
		"without a node index Pgpool-II wants a bare number, counted in ms"
	if _, err := lookup(t, text, "connect_timeout").duration(time.Millisecond); err == nil || err.Error() != want {
		t.Errorf("error is %v", err)
	}
	if got, err := lookup(t, text, "connect_timeout1").duration(time.Millisecond); err != nil || got != 5*time.Second {
		t.Errorf("with index: %v %v", got, err)
	}
}

func TestUnknown(t *testing.T) {
	t.Parallel()
	f := parseText(t, `failover_comand = 'x'
Port = 1
follow_master_command = 'x'
other_pgpool_hostname0 = 'x'
backend_prt3 = 5
resync_command = 'x'
resync_comand = 'x'
my_own_thing = 1
work_dir = '/x'
delegate_IP = ''
`)
	got := map[string]string{}
	for _, u := range f.Unknown(Version{}) {
		got[u.Name] = u.Suggestion
	}
	want := map[string]string{
		"failover_comand": "failover_command", "Port": "port", "follow_master_command": "follow_primary_command",
		"other_pgpool_hostname0": "hostname0", "backend_prt3": "backend_port3", "resync_comand": "resync_command",
		"my_own_thing": "",
	}
	if len(got) != len(want) {
		t.Errorf("unknown are %v", got)
	}
	for name, suggestion := range want {
		if s, ok := got[name]; !ok || s != suggestion {
			t.Errorf("%s: suggestion %q, want %q", name, s, suggestion)
		}
	}
	older := f.Unknown(Version{4, 3, 5})
	if len(older) != len(want)+1 || older[7].Name != "work_dir" || older[7].Line != 9 {
		t.Errorf("in 4.3.5: %+v", older)
	}
}

func TestParametersAreInOrder(t *testing.T) {
	t.Parallel()
	for i, p := range parameters {
		if i > 0 && strings.ToLower(parameters[i-1].name) > strings.ToLower(p.name) {
			t.Errorf("%s stands out of order", p.name)
		}
		for _, array := range parameters {
			// find takes the first that fits, which must be the only one.
			if array.indexes > 0 && p.name != array.name && strings.HasPrefix(p.name, array.name) {
				t.Errorf("%s would be taken for %s", p.name, array.name)
			}
		}
	}
}

func TestParseVersion(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"pgpool-II version 4.3.5 (tamahomeboshi)": "4.3.5", "4.6": "4.6.0", "4.7devel": "4.7.0",
	} {
		if v, err := ParseVersion(text); err != nil || v.String() != want {
			t.Errorf("%q: %v %v", text, v, err)
		}
	}
	if _, err := ParseVersion("pgpool"); err == nil {
		t.Error("found a version where none is")
	}
	if v := (Version{4, 3, 9}); v.AtLeast(4, 4, 0) || !v.AtLeast(4, 3, 9) || v.AtLeast(4, 3, 10) || !v.AtLeast(3, 9, 20) {
		t.Error("versions compare wrongly")
	}
}

func TestExpand(t *testing.T) {
	t.Parallel()
	values := map[byte]string{'d': "2", 'h': "host c", 'H': "", 'P': "-1", 'N': `""`}
	for command, want := range map[string]string{
		"":                      "",
		"/bin/f %d %h":          "/bin/f 2 host c",
		"f %d%% %%d %P":         "f 2% %d -1",
		"f [%z] [%H] %N":        `f [] [] ""`,
		"ends with %":           "ends with ",
		"%%%":                   "%",
		"f '%d' \\%d \"%h\" 10": "f '2' \\2 \"host c\" 10",
	} {
		if got := Expand(command, values); got != want {
			t.Errorf("%q gives %q, want %q", command, got, want)
		}
	}
}

func TestPlaceholders(t *testing.T) {
	t.Parallel()
	const upstream = "/etc/pgpool2/failover.sh %d %h %p %D %m %H %M %P %r %R %N %S"
	var letters string
	for _, p := range Placeholders(upstream) {
		letters += string(p.Letter)
	}
	if letters != "dhpDmHMPrRNS" {
		t.Errorf("letters are %q", letters)
	}
	var got strings.Builder
	for _, u := range Placeholders(`f %d "%h" '%p' "it's %D" \"%m 100%% "a\"%H" %`) {
		quote := string(u.Quote)
		if u.Quote == 0 {
			quote = "-"
		}
		got.WriteString(string(u.Letter) + quote)
	}
	if got.String() != `d-h"p'D"m-H"` {
		t.Errorf("quotes are %s", got.String())
	}
}
