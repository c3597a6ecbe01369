// Command repool puts failed PostgreSQL nodes back into a Pgpool-II pool.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/repool/repool/internal/cli"
	"github.com/repool/repool/internal/hook"
)

func main() {
	if len(os.Args) > 1 && os.Args[1] == "hook" {
		// Before anything opens a descriptor of ours: Pgpool-II leaves its
		// listening sockets open in the hooks it starts.
		if err := hook.Prepare(); err != nil {
			fmt.Fprintln(os.Stderr, "repool: hook:", err)
		}
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := cli.Main(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}
