package exit

import (
	"context"
	"errors"
	"fmt"
	"testing"
)

func TestCode(t *testing.T) {
	t.Parallel()
	plain := errors.New("plain")
	for name, c := range map[string]struct {
		err  error
		want int
	}{
		"no error":                       {nil, OK},
		"an error without a status":      {plain, Internal},
		"an error with one":              {With(Refused, plain), Refused},
		"wrapped further":                {fmt.Errorf("resync node 1: %w", With(Unreachable, plain)), Unreachable},
		"the outermost status counts":    {With(Parked, With(Unreachable, plain)), Parked},
		"one of several joined":          {errors.Join(plain, New(Usage, "bad %d", 1)), Usage},
		"an error that knows its own":    {fmt.Errorf("hold: %w", own{}), Parked},
		"deadline":                       {fmt.Errorf("wait: %w", context.DeadlineExceeded), Unfinished},
		"cancelled":                      {context.Canceled, Interrupted},
		"a status outranks the deadline": {With(Unreachable, context.DeadlineExceeded), Unreachable},
	} {
		if got := Code(c.err); got != c.want {
			t.Errorf("%s: Code = %d, want %d", name, got, c.want)
		}
	}
}

func TestWithKeepsNilAndHint(t *testing.T) {
	t.Parallel()
	if With(Refused, nil) != nil {
		t.Error("With(nil) must stay nil")
	}
	err := fmt.Errorf("outer: %w", With(Parked, With(Refused, errors.New("x"), "do", "this")))
	if got := Hint(err); got != "do this" {
		t.Errorf("Hint = %q", got)
	}
	if Hint(errors.New("x")) != "" {
		t.Error("a plain error has no hint")
	}
}

type own struct{}

func (own) Error() string { return "own" }
func (own) ExitCode() int { return Parked }
