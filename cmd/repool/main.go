// Command repool puts failed PostgreSQL nodes back into a Pgpool-II pool.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/repool/repool/internal/cli"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := cli.Main(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}
