package app

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/repool/repool/internal/config"
	"github.com/repool/repool/internal/exit"
	"github.com/repool/repool/internal/show/notify"
)

// notifyDeadline bounds one attempt of a test, as it does in the controller.
const notifyDeadline = 30 * time.Second

// TestNotify sends a test event to each receiver that the configuration names, and
// tells how each took it. The error is for a configuration that cannot be used.
func TestNotify(ctx context.Context, c config.Notify, told func(receiver string, err error)) error {
	receivers, err := receiversOf(c)
	if err != nil {
		return err
	}
	if len(receivers) == 0 {
		return exit.With(exit.Usage, errors.New("repool.yaml names no receiver of notifications"),
			"set notify.on_event or notify.webhook.url")
	}
	host, err := hostName()
	if err != nil {
		return err
	}
	e := notify.TestEvent(host)
	for _, r := range receivers {
		actx, cancel := context.WithTimeout(ctx, notifyDeadline)
		told(r.Name(), r.Send(actx, e))
		cancel()
	}
	return nil
}

// hostName is how this controller is called in notifications.
func hostName() (string, error) {
	host, err := os.Hostname()
	if err != nil {
		return "", fmt.Errorf("name this controller in notifications: %w", err)
	}
	return host, nil
}
