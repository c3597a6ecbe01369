package chaos

import (
	"context"
	"fmt"
	"time"
)

// someHost is the host of a node, or rarely Pgpool-II's.
func (r *run) someHost() string {
	if r.rnd.IntN(5) == 0 {
		return r.lab.PgpoolHost(0)
	}
	return r.lab.NodeHost(r.rnd.IntN(len(r.lab.Nodes)))
}

// forAWhile ends a fault of the network after some seconds at least.
func (r *run) forAWhile(kind string, end func(context.Context) error) time.Duration {
	least := time.Duration(1+r.rnd.IntN(8)) * time.Second
	over := time.Now().Add(least)
	r.until(kind, func(ctx context.Context) error {
		pause(ctx, time.Until(over))
		return end(ctx)
	})
	return least
}

// cable pulls a host's cable: nothing goes in or out.
func (r *run) cable(ctx context.Context) (string, error) {
	if r.lasts("cable") {
		return "", errNotNow
	}
	host := r.someHost()
	if err := r.lab.CutCable(ctx, host); err != nil {
		return "", err
	}
	least := r.forAWhile("cable", func(ctx context.Context) error { return r.lab.MendCable(ctx, host) })
	return fmt.Sprintf("of %s, for %s or more", host, least), nil
}

// parted loses everything between two hosts, or all that one of them sends to
// the other, without a word.
func (r *run) parted(ctx context.Context) (string, error) {
	if r.lasts("parted") {
		return "", errNotNow
	}
	one, other := r.someHost(), r.someHost()
	if one == other {
		return "", errNotNow
	}
	lose, what := r.lab.Part, "and"
	if r.rnd.IntN(2) == 0 {
		lose, what = r.lab.Lose, "to"
	}
	if err := lose(ctx, one, other); err != nil {
		return "", err
	}
	least := r.forAWhile("parted", r.lab.HealNetwork)
	return fmt.Sprintf("%s %s %s, for %s or more", one, what, other, least), nil
}

// slowLink leaves a host a few megabits a second.
func (r *run) slowLink(ctx context.Context) (string, error) {
	if r.lasts("slow-link") {
		return "", errNotNow
	}
	host, rate := r.someHost(), fmt.Sprintf("%dmbit", 2+r.rnd.IntN(20))
	if err := r.lab.SlowLink(ctx, host, rate); err != nil {
		return "", err
	}
	least := r.forAWhile("slow-link", func(ctx context.Context) error { return r.lab.SlowLink(ctx, host, "") })
	return fmt.Sprintf("of %s, %s for %s or more", host, rate, least), nil
}
