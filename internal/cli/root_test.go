package cli

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/repool/repool/internal/exit"
	"github.com/repool/repool/test/fakes/helptest"
)

// run runs one command line in this process.
func run(t *testing.T, prepare func() error, args ...string) (code int, out, errOut string) {
	t.Helper()
	var o, e bytes.Buffer
	g := &globals{out: &o, err: &e, prepare: prepare}
	code = g.main(t.Context(), args)
	return code, o.String(), e.String()
}

func TestEveryCommandHasHelp(t *testing.T) {
	t.Parallel()
	helptest.Check(t, func(out, errOut io.Writer) *cobra.Command { return newRoot(&globals{out: out, err: errOut}) })
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
