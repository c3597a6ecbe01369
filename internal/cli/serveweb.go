package cli

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/repool/repool/internal/config"
	"github.com/repool/repool/internal/core/controller"
	"github.com/repool/repool/internal/exit"
	"github.com/repool/repool/internal/show/metrics"
	"github.com/repool/repool/internal/show/web"
	"github.com/repool/repool/internal/show/web/page"
)

// serveWeb shows the controller's published state over HTTP where repool.yaml
// gives an address for it; without one nothing listens on the network.
func (g *globals) serveWeb(ctx context.Context, group *errgroup.Group, p *config.Pool, c *controller.Controller, m *metrics.Metrics, log *slog.Logger) error {
	if p.Controller.Listen == "" {
		return nil
	}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", p.Controller.Listen)
	if err != nil {
		return exit.With(exit.Usage, fmt.Errorf("listen for web page and metrics: %w", err), "set controller.listen to a free address of this host")
	}
	srv := &http.Server{
		Handler:           web.New(web.Options{Status: c.Status, Interval: p.Controller.Interval, Metrics: m.Handler(log), Page: pageOf(p, c, log), Log: log}),
		ReadHeaderTimeout: 5 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 16 << 10,
		BaseContext: func(net.Listener) context.Context { return ctx }, // an open event stream ends with the controller
		ErrorLog:    slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	group.Go(func() error { return serveUntil(ctx, srv, func() error { return srv.Serve(l) }) })
	log.Info("web page and metrics", "listen", l.Addr().String())
	return nil
}

// pageOf is the live page, on which only those act whom repool.yaml lets.
func pageOf(p *config.Pool, c *controller.Controller, log *slog.Logger) http.Handler {
	login := page.Login{PasswordHash: p.Page.PasswordHash, TokenFile: p.Page.TokenFile}
	o := page.Options{Source: c, Log: log, Login: login}
	if login.On() {
		o.Act = c
	}
	return page.New(o)
}
