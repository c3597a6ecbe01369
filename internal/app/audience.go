package app

import (
	"context"
	"log/slog"
	"os"

	"github.com/repool/repool/internal/config"
	"github.com/repool/repool/internal/core/controller"
	"github.com/repool/repool/internal/exit"
	"github.com/repool/repool/internal/show/history"
	"github.com/repool/repool/internal/show/metrics"
	"github.com/repool/repool/internal/show/notify"
	"github.com/repool/repool/internal/show/trace"
)

// audience is what hears of everything that a controller does.
type audience struct {
	metrics  *metrics.Metrics
	notifier *notify.Notifier // nil: no receiver is configured
	tracer   *trace.Tracer    // nil: no collector
}

func newAudience(ctx context.Context, p *config.Pool, store *history.Store, log *slog.Logger) (*audience, error) {
	a := &audience{}
	receivers, err := receiversOf(p.Notify)
	if err != nil {
		return nil, err
	}
	var stats func() []metrics.Receiver
	if len(receivers) > 0 {
		host, err := hostName()
		if err != nil {
			return nil, err
		}
		a.notifier, err = notify.New(ctx, notify.Options{Receivers: receivers, Store: store, Log: log, Controller: host})
		if err != nil {
			return nil, err
		}
		stats = a.receivers
	}
	to, err := trace.FindEndpoint(p.Tracing.Endpoint, os.Getenv)
	if err != nil {
		return nil, exit.With(exit.Usage, err, "see tracing.endpoint in repool.yaml, and the environment")
	}
	if to.Set() {
		a.tracer = trace.New(to, Version, log)
	}
	a.metrics = metrics.New(stats)
	return a, nil
}

// receiversOf makes the receivers that the configuration names.
func receiversOf(c config.Notify) ([]notify.Receiver, error) {
	var out []notify.Receiver
	if c.OnEvent != "" {
		out = append(out, notify.NewCommand(c.OnEvent))
	}
	if c.Webhook.URL != "" {
		w, err := notify.NewWebhook(c.Webhook.URL, c.Webhook.SecretFile, Version)
		if err != nil {
			return nil, exit.With(exit.Usage, err, "see notify.webhook in repool.yaml")
		}
		out = append(out, w)
	}
	return out, nil
}

// receivers are the metrics of the notifications.
func (a *audience) receivers() []metrics.Receiver {
	var out []metrics.Receiver
	for _, s := range a.notifier.Stats() {
		out = append(out, metrics.Receiver{Name: s.Receiver, Sent: s.Sent, Failed: s.Failed,
			Lost: s.GivenUp + s.Dropped, Queued: s.Queued})
	}
	return out
}

// list is the audience as the controller wants it.
func (a *audience) list() []controller.Audience {
	all := []controller.Audience{a.metrics}
	if a.notifier != nil {
		all = append(all, a.notifier)
	}
	if a.tracer != nil {
		all = append(all, a.tracer)
	}
	return all
}

// run starts what works in the background.
func (a *audience) run(ctx context.Context, start func(func() error)) {
	if a.notifier != nil {
		start(func() error { return a.notifier.Run(ctx) })
	}
	if a.tracer != nil {
		start(func() error { return a.tracer.Run(ctx) })
	}
}
