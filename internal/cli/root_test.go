package cli

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/repool/repool/internal/exit"
)

// run runs one command line in this process.
func run(t *testing.T, prepare func() error, args ...string) (code int, out, errOut string) {
	t.Helper()
	var o, e bytes.Buffer
	g := &globals{out: &o, err: &e, prepare: prepare}
	code = g.main(t.Context(), args)
	return code, o.String(), e.String()
}

// walk calls visit for every command there is.
func walk(c *cobra.Command, visit func(*cobra.Command)) {
	visit(c)
	for _, sub := range c.Commands() {
		walk(sub, visit)
	}
}

func TestEveryCommandHasHelp(t *testing.T) {
	t.Parallel()
	walk(newRoot(&globals{}), func(c *cobra.Command) {
		name := c.CommandPath()
		if c.Short == "" || strings.ContainsAny(c.Short, "\n") || strings.HasSuffix(c.Short, ".") {
			t.Errorf("%s: the Short must be one line without a full stop: %q", name, c.Short)
		}
		if c.Example == "" || !strings.Contains(c.Example, "repool") {
			t.Errorf("%s: no example", name)
		}
		if !strings.Contains(c.Long, "EXIT STATUS\n") {
			t.Errorf("%s: the help does not give its exit statuses", name)
		}
		for line := range strings.SplitSeq(c.Long, "\n") {
			if len([]rune(line)) > 92 {
				t.Errorf("%s: a line of the help is too long for a terminal: %q", name, line)
			}
		}
		code, out, errOut := run(t, nil, append(strings.Fields(name)[1:], "--help")...)
		if code != exit.OK || errOut != "" || !strings.Contains(out, "Examples:") {
			t.Errorf("%s --help: status %d, %q on standard error", name, code, errOut)
		}
	})
}

func TestHookIsPreparedWhereverTheFlagsStand(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{
		{"hook", "failover", "--config", "/nowhere.yaml"},
		{"--config", "/nowhere.yaml", "hook", "failover", "0"},
		{"--json", "--config=/nowhere.yaml", "hook", "remote-start"},
		{"-v", "hook", "--config", "/nowhere.yaml", "follow-primary"},
	} {
		n := 0
		if code, _, errOut := run(t, func() error { n++; return nil }, args...); code != exit.Usage {
			t.Errorf("%v: status %d: %s", args, code, errOut)
		}
		if n != 1 {
			t.Errorf("%v: prepared %d times, want once", args, n)
		}
	}
	n := 0
	run(t, func() error { n++; return nil }, "--config", "hook", "version")
	if n != 0 {
		t.Error("prepared for what is no hook")
	}
}

func TestHookGoesOnUnprepared(t *testing.T) {
	t.Parallel()
	_, _, errOut := run(t, func() error { return errors.New("no /proc") }, "--config", "/nowhere.yaml", "hook", "failover")
	for _, want := range []string{"repool: hook: no /proc", "/nowhere.yaml"} {
		if !strings.Contains(errOut, want) {
			t.Errorf("%q is not in %q", want, errOut)
		}
	}
}

func TestFirstWord(t *testing.T) {
	t.Parallel()
	root := newRoot(&globals{})
	for want, args := range map[string][]string{
		"stauts": {"--config", "plan", "stauts", "--fail", "x"},
		"hok":    {"-v", "--json", "hok"},
		"":       {"--config"},
	} {
		if got := firstWord(root, args); got != want {
			t.Errorf("firstWord(%v) = %q, want %q", args, got, want)
		}
	}
}

func TestComplainIndentsFurtherLines(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	complain(&b, exit.With(exit.Usage, errors.Join(errors.New("a:1:2: first"), errors.New("a:3:4: second")), "correct them"))
	const want = "repool: a:1:2: first\n        a:3:4: second\n  → correct them\n"
	if b.String() != want {
		t.Errorf("got %q\nwant %q", b.String(), want)
	}
}
