package sim

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/repool/repool/internal/codes"
)

var update = flag.Bool("update", false, "write the tables of docs/simulation.md")

const page = "../../docs/simulation.md"

// section is the text between two marks of the page.
func section(t *testing.T, name string) (before, inside, after string) {
	t.Helper()
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(text), "<!-- "+name+" -->\n")
	inside, after, ok2 := strings.Cut(rest, "<!-- end -->\n")
	if !ok || !ok2 {
		t.Fatalf("%s has no section %s", page, name)
	}
	return before + "<!-- " + name + " -->\n", inside, "<!-- end -->\n" + after
}

// writeSection replaces it.
func writeSection(t *testing.T, name, text string) {
	t.Helper()
	before, _, after := section(t, name)
	write(t, page, []byte(before+text+after))
}

// rows are the first cells of a section's table.
func rows(t *testing.T, name string) (out []string) {
	t.Helper()
	_, text, _ := section(t, name)
	for i, line := range strings.Split(strings.TrimSpace(text), "\n") {
		if cells := strings.Split(line, "|"); i > 1 && len(cells) > 2 {
			out = append(out, strings.Trim(cells[1], " `"))
		}
	}
	slices.Sort(out)
	return out
}

func mutantTable(found map[string]caught) string {
	var b strings.Builder
	b.WriteString("| wrong build | breaks | after worlds | what was seen |\n|---|---|---|---|\n")
	for _, m := range mutants {
		c := found[m.name]
		fmt.Fprintf(&b, "| %s | %s | %d | %s |\n", m.name, c.Promise, c.Worlds, strings.ReplaceAll(c.Text, "|", "/"))
	}
	return b.String()
}

// sameProcess: what belongs to the wire is shown in test/hosts.
const sameProcess = "agents are called without a wire"

// beyond says why worlds do not reach a planner's code.
var beyond = map[codes.Code]string{
	codes.Quarantined:      "quarantine is the watchdog's; its voting is not simulated",
	codes.PoolUnresponsive: "Pgpool-II's main process drops no signal",
	codes.NotInPool:        "every node is in pgpool.conf and in Pgpool-II",
	codes.ForeignSystem:    "all directories are of one initdb",
	codes.ForeignDirectory: "nobody puts other files at home",
	codes.VersionMismatch:  "all nodes are of one major version",
	codes.SettingsTooLow:   "all nodes have the same settings",
	codes.NoSlots:          "slots are never used up",
	codes.NoSenders:        "WAL senders are never used up",
	codes.UnrelatedHistory: "every line begins with timeline 1",
	codes.NeedsConsent:     "the policy is the default one: nothing is asked",
	codes.NotAllowed:       "the policy is the default one: nothing is forbidden",
	codes.MountPoint:       "nothing is mounted in a data directory",
	codes.Tablespaces:      "there are no tablespaces",
	codes.WALLink:          "pg_wal is part of the data directory",
	codes.CustomFailed:     "resync_command is not set",
	codes.CheckpointFailed: "a server that answers makes its checkpoint",
	codes.SlotFailed:       "a server that answers makes the slot",
	codes.OwnFiles:         "data directories hold nothing but a database and its configuration",
	codes.ConfigMissing:    "a copy of the configuration is always kept",
	codes.OnHold:           "nobody holds a node",
	codes.TooFewAnswers:    "policy.failover.min_answers is the default: one",
	codes.TooFarBehind:     "policy.failover.max_lag is not set",
	codes.AgentVersionSkew: sameProcess,
	codes.AgentWrongNode:   sameProcess,
	codes.AgentForeign:     sameProcess,
	codes.AgentNotAllowed:  sameProcess,
	codes.AgentCertificate: sameProcess,
	codes.AgentHostKey:     sameProcess,
	codes.AgentNotRunning:  sameProcess,
}

func coverTable(c *Coverage) string {
	ends := map[string][]string{}
	for what := range c.runs {
		f := strings.Fields(what)
		if len(f) == 3 && f[1] != "done" && !slices.Contains(ends[f[2]], f[0]) {
			ends[f[2]] = append(ends[f[2]], f[0])
		}
	}
	var b strings.Builder
	b.WriteString("| code | decided | ended runs of | not reached, because |\n|---|---|---|---|\n")
	for _, info := range codes.Decisions() {
		runs := ends[string(info.Code)]
		slices.Sort(runs)
		decided := strings.Join(sorted(c.codes[string(info.Code)]), ", ")
		why := ""
		if decided == "" && len(runs) == 0 {
			if why = beyond[info.Code]; why == "" {
				why = "rare: not in these worlds"
			}
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", info.Code, decided, strings.Join(runs, ", "), why)
	}
	return b.String()
}

// unreached says why a state of a node is in no world.
var unreached = map[string]string{}

// stateTable is what was decided in each state of a node, with the methods.
func stateTable(c *Coverage) string {
	var b strings.Builder
	b.WriteString("| state of the node | decided in it |\n|---|---|\n")
	for _, state := range states {
		what := strings.Join(sorted(c.states[state]), ", ")
		if what == "" {
			if what = unreached[state]; what == "" {
				what = "rare: not in these worlds"
			}
		}
		fmt.Fprintf(&b, "| %s | %s |\n", state, what)
	}
	return b.String()
}

// TestPageIsCurrent wants a row for each wrong build, for each planner's code and
// for each state of a node, and none besides.
func TestPageIsCurrent(t *testing.T) {
	t.Parallel()
	var names, coded []string
	for _, m := range mutants {
		names = append(names, m.name)
	}
	for _, c := range codes.Decisions() {
		coded = append(coded, string(c.Code))
	}
	slices.Sort(names)
	slices.Sort(coded)
	classes := slices.Clone(states)
	slices.Sort(classes)
	for section, want := range map[string][]string{"mutants": names, "coverage": coded, "states": classes} {
		if got := rows(t, section); !slices.Equal(got, want) {
			t.Errorf("%s, %s: the rows are\n%q\nand should be\n%q\nrun make sim-docs", page, section, got, want)
		}
	}
	for code := range beyond {
		if _, known := codes.Explain(code); !known {
			t.Errorf("%s is no code of the planner", code)
		}
	}
}
