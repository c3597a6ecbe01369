package hook

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/repool/repool/internal/config"
	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/pgpool/pgpoolconf"
)

// threeNodes are on hosts of their own, with one port and one directory, as
// most pools are.
func threeNodes() []config.NodeConf {
	var out []config.NodeConf
	for i := range 3 {
		out = append(out, config.NodeConf{ID: topology.NodeID(i), Host: fmt.Sprintf("db%d", i), Port: 5432,
			DataDir: "/srv/pg"})
	}
	return out
}

// oneHost has all its nodes on one host, as the lab has.
func oneHost() []config.NodeConf {
	var out []config.NodeConf
	for i := range 3 {
		out = append(out, config.NodeConf{ID: topology.NodeID(i), Host: "localhost", Port: 5430 + i,
			DataDir: fmt.Sprintf("/srv/pg%d", i)})
	}
	return out
}

const (
	olderCommand    = `%d %H %P %R %r %p %D %m %M %h %P %r`
	upstreamCommand = `%d %h %p %D %m %H %M %P %r %R %N %S`
)

// called is what a hook gets from Pgpool-II for that command: placeholders
// replaced, then split by the shell. failed, choice and primary are ids.
func called(command string, nodes []config.NodeConf, failed, choice, primary int) []string {
	val := func(id int, f func(config.NodeConf) string) string {
		if id < 0 {
			return `""`
		}
		return f(nodes[id])
	}
	host := func(n config.NodeConf) string { return n.Host }
	port := func(n config.NodeConf) string { return fmt.Sprint(n.Port) }
	dir := func(n config.NodeConf) string { return n.DataDir }
	text := pgpoolconf.Expand(command, map[byte]string{
		'd': fmt.Sprint(failed), 'h': val(failed, host), 'p': val(failed, port), 'D': val(failed, dir),
		'm': fmt.Sprint(choice), 'H': val(choice, host), 'r': val(choice, port), 'R': val(choice, dir),
		'M': fmt.Sprint(primary), 'P': fmt.Sprint(primary), 'N': val(primary, host), 'S': val(primary, port),
	})
	var args []string
	for _, w := range strings.Fields(text) {
		if w == `""` || w == `""""` { // in the command's own quotes, too
			w = ""
		}
		args = append(args, strings.Trim(w, `"`))
	}
	return args
}

func TestParseArgsTellsTheOrdersApart(t *testing.T) {
	t.Parallel()
	noDirs := oneHost()
	for i := range noDirs {
		noDirs[i].DataDir = ""
	}
	sockets := oneHost()
	for i := range sockets {
		sockets[i].Host = "/var/run/postgresql"
	}
	cut := func(command string, n int) string { return strings.Join(strings.Fields(command)[:n], " ") }
	for name, c := range map[string]struct {
		command string
		nodes   []config.NodeConf
	}{
		"upstream's order":                    {upstreamCommand, threeNodes()},
		"upstream's order, one host":          {upstreamCommand, oneHost()},
		"upstream's order, directories unset": {upstreamCommand, noDirs},
		"upstream's order, unix sockets":      {upstreamCommand, sockets},
		"upstream's order before 4.1":         {cut(upstreamCommand, 10), threeNodes()},
		"upstream's order before 3.7":         {cut(upstreamCommand, 8), oneHost()},
		"upstream's older, directories unset": {cut(upstreamCommand, 10), noDirs},
		"older order":                         {olderCommand, threeNodes()},
		"older order, one host":               {olderCommand, oneHost()},
		"older order, directories unset":      {olderCommand, noDirs},
		"older order, unix sockets":           {olderCommand, sockets},
		"older order, cut":                    {cut(olderCommand, 9), oneHost()},
		"upstream's order, quoted":            {`%d "%h" %p "%D" %m "%H" %M %P "%r" "%R" "%N" "%S"`, threeNodes()},
		"key=value, ids only":                 {KeyValueForm, threeNodes()},
		"key=value, with underscores and letters": {`node=%d host="%h" P=%P m=%m new_main_host="%H" D=%D old-main=%M`,
			noDirs},
	} {
		for _, ids := range [][3]int{{0, 1, 0}, {1, 0, 0}, {2, 0, 1}, {0, -1, 0}, {1, -1, 1}, {2, 0, -1}, {2, -1, -1}} {
			args := called(c.command, c.nodes, ids[0], ids[1], ids[2])
			e, err := ParseArgs(KindFailover, args, c.nodes)
			if err != nil {
				t.Errorf("%s: %v: %v", name, ids, err)
				continue
			}
			if got := [3]int{int(e.Failed), int(e.NewMain), int(e.OldPrimary)}; got != ids {
				t.Errorf("%s: %q: got %v, want %v", name, args, got, ids)
			}
			if want := ids[0] == ids[2] || ids[2] == -1; e.PrimaryLost() != want {
				t.Errorf("%s: %v: primary lost = %v", name, ids, !want)
			}
		}
	}
}

func TestParseArgsKeepsPlaces(t *testing.T) {
	t.Parallel()
	nodes := oneHost()
	e, err := ParseArgs(KindFailover, called(upstreamCommand, nodes, 0, 1, 0), nodes)
	if err != nil {
		t.Fatal(err)
	}
	if want := (Place{"localhost", 5430, "/srv/pg0"}); e.FailedAt != want {
		t.Errorf("failed at %+v", e.FailedAt)
	}
	if want := (Place{"localhost", 5431, "/srv/pg1"}); e.NewMainAt != want {
		t.Errorf("new main at %+v", e.NewMainAt)
	}
	if want := (Place{"localhost", 5430, ""}); e.OldPrimaryAt != want || e.OldMain != 0 {
		t.Errorf("old primary at %+v, old main %s", e.OldPrimaryAt, e.OldMain)
	}
}

// Pgpool-II keeps the old host and port of a node until it is restarted.
func TestParseArgsForgivesAChangedFile(t *testing.T) {
	t.Parallel()
	nodes := threeNodes()
	args := called(olderCommand, nodes, 0, 1, 0)
	for i := range nodes {
		nodes[i].Host, nodes[i].Port = nodes[i].Host+".example", 5433
	}
	if e, err := ParseArgs(KindFailover, args, nodes); err != nil || e.NewMain != 1 || !e.PrimaryLost() {
		t.Errorf("%+v, %v", e, err)
	}
}

func TestParseArgsForResyncAndFollow(t *testing.T) {
	t.Parallel()
	nodes := threeNodes()
	for kind, cases := range map[Kind][][]string{
		KindResync: {{"1"}, {"1", "db1"}, {"1", "db1", "5432", "/srv/pg"}, {"node=1"}, called(olderCommand, nodes, 1, 0, 0)},
		KindFollow: {called(upstreamCommand, nodes, 1, 0, 2)[:10], called(olderCommand, nodes, 1, 0, 2),
			{"node=1", "new-main=0"}},
	} {
		for _, args := range cases {
			if e, err := ParseArgs(kind, args, nodes); err != nil || e.Failed != 1 || e.Kind != kind {
				t.Errorf("%s %q: %+v, %v", kind, args, e, err)
			}
		}
	}
}

func TestParseArgsRefuses(t *testing.T) {
	t.Parallel()
	nodes := threeNodes()
	good := called(upstreamCommand, nodes, 0, 1, 0)
	for name, args := range map[string][]string{
		"nothing":                 {},
		"only a node":             {"0"},
		"a node not in the pool":  called(strings.ReplaceAll(upstreamCommand, "%d", "7"), nodes, 0, 1, 0),
		"no node":                 called(strings.ReplaceAll(upstreamCommand, "%d", "-1"), nodes, 0, 1, 0),
		"too many":                append(append([]string(nil), good...), "x"),
		"words":                   strings.Fields("this is no list of arguments that anybody would ever pass on"),
		"key=value without node":  {"old-primary=0"},
		"failover without %P":     {"node=0"},
		"unknown key":             {"node=0", "old-primary=0", "colour=blue"},
		"a key twice":             {"node=0", "node=1", "old-primary=0"},
		"key=value and others":    {"node=0", "0"},
		"key with a wrong number": {"node=zero", "old-primary=0"},
		"two directories":         {"/a", "/b", "/c"},
	} {
		if e, err := ParseArgs(KindFailover, args, nodes); !errors.Is(err, ErrArguments) {
			t.Errorf("%s: got %+v, %v", name, e, err)
		}
	}
}

// A reading that would take the wrong node for the old primary is refused, not
// guessed: with very low ports, ids and ports look alike.
func TestParseArgsRefusesTheAmbiguous(t *testing.T) {
	t.Parallel()
	nodes := []config.NodeConf{{ID: 0, Host: "a", Port: 1}, {ID: 1, Host: "a", Port: 2}, {ID: 2, Host: "a", Port: 1}}
	args := []string{"0", "a", "1", "", "2", "", "", "1"}
	e, err := ParseArgs(KindFailover, args, nodes)
	if !errors.Is(err, ErrArguments) || !strings.Contains(err.Error(), "can be read as") {
		t.Errorf("got %+v, %v", e, err)
	}
}

func FuzzParseArgs(f *testing.F) {
	nodes := oneHost()
	for _, command := range []string{upstreamCommand, olderCommand, KeyValueForm} {
		f.Add(strings.Join(called(command, nodes, 0, 1, 0), "\x00"))
		f.Add(strings.Join(called(command, nodes, 1, -1, -1), "\x00"))
	}
	f.Fuzz(func(t *testing.T, joined string) {
		for _, kind := range []Kind{KindFailover, KindFollow, KindResync} {
			e, err := ParseArgs(kind, strings.Split(joined, "\x00"), nodes)
			if err != nil {
				if !errors.Is(err, ErrArguments) {
					t.Fatalf("an error without a way out: %v", err)
				}
				continue
			}
			if e.Failed < 0 || e.Failed > 2 || e.OldPrimary < -1 || e.OldPrimary > 2 || e.NewMain < -1 || e.NewMain > 2 {
				t.Fatalf("nodes that are not in the pool: %+v", e)
			}
		}
	})
}
