package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/repool/repool/internal/config"
	"github.com/repool/repool/internal/core/controller"
	"github.com/repool/repool/internal/exit"
	"github.com/repool/repool/internal/show/control"
	"github.com/repool/repool/internal/show/metrics"
	"github.com/repool/repool/internal/show/web"
	"github.com/repool/repool/internal/show/web/page"
)

// server is an HTTP server on a listener that is open.
type server struct {
	http *http.Server
	// begin is one of http's Serve methods; it returns when http is shut down.
	begin func() error
	// breakOff cancels requests with serve's context: event streams never end.
	breakOff bool
}

// serve serves until ctx is done, then lets requests end.
func (s *server) serve(ctx context.Context) error {
	if s.breakOff {
		s.http.BaseContext = func(net.Listener) context.Context { return ctx }
	}
	stopped := make(chan error, 1)
	go func() {
		<-ctx.Done()
		sctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
		defer cancel()
		err := s.http.Shutdown(sctx)
		if errors.Is(err, context.DeadlineExceeded) {
			err = s.http.Close()
		}
		stopped <- err
	}()
	if err := s.begin(); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return <-stopped
}

// closeListener closes l, which its server may have done already.
func closeListener(l net.Listener) func() error {
	return func() error {
		if err := l.Close(); !errors.Is(err, net.ErrClosed) {
			return err
		}
		return nil
	}
}

// controlServer answers on the controller's local socket.
func controlServer(l net.Listener, c *controller.Controller) *server {
	srv := &http.Server{Handler: control.NewHandler(c), ReadHeaderTimeout: 5 * time.Second}
	return &server{http: srv, begin: func() error { return srv.Serve(l) }}
}

// listenWeb opens controller.listen; where repool.yaml does not give it, nothing
// listens on the network.
func listenWeb(ctx context.Context, address string) (net.Listener, error) {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", address)
	if err != nil {
		return nil, exit.With(exit.Usage, fmt.Errorf("listen for web page and metrics: %w", err),
			"set controller.listen to a free address of this host")
	}
	return l, nil
}

// webServer shows the controller's published state: page, metrics and health.
func webServer(l net.Listener, p *config.Pool, c *controller.Controller, m *metrics.Metrics, log *slog.Logger) *server {
	login := page.Login{PasswordHash: p.Page.PasswordHash, TokenFile: p.Page.TokenFile}
	o := page.Options{Source: c, Log: log, Login: login}
	if login.On() { // nobody may act where no login is configured
		o.Act = c
	}
	srv := &http.Server{
		Handler: web.New(web.Options{Status: c.Status, Interval: p.Controller.Interval, Metrics: m.Handler(log),
			Page: page.New(o), Log: log}),
		ReadHeaderTimeout: 5 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 16 << 10,
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	return &server{http: srv, begin: func() error { return srv.Serve(l) }, breakOff: true}
}
