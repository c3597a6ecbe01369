package agentapi

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"
)

// The greeting is the first line that `repool agent --stdio` writes. Whatever a
// login shell writes before it is skipped.
const (
	greeting   = "repool-agent-stdio 1 "
	greetReady = "ready"
	greetNone  = "not-running"
)

// maxNoise bounds what may come before the greeting.
const maxNoise = 64 << 10

// readGreeting skips noise up to the greeting; the rest is the agent's.
func readGreeting(r *bufio.Reader) error {
	for left := maxNoise; left > 0; {
		line, err := r.ReadString('\n')
		left -= len(line)
		if word, ok := strings.CutPrefix(strings.TrimRight(line, "\r\n"), greeting); ok && err == nil {
			switch word {
			case greetReady:
				return nil
			case greetNone:
				return ErrNotRunning
			}
			return fmt.Errorf("the remote repool greets with %q: %w", word, ErrVersionSkew)
		}
		if err != nil {
			// Not wrapped: an end of file would be taken for that of a response.
			return fmt.Errorf("no repool agent --stdio has answered (%v)", err) //nolint:errorlint // see above
		}
	}
	return errors.New("no repool agent --stdio has answered, only other output")
}

// Stdio connects in and out to the resident agent on the unix socket, until
// either side ends or ctx is done. It adds nothing: the calls come in, and the
// resident agent decides about them. ErrNotRunning: no agent listens there.
func Stdio(ctx context.Context, in io.ReadCloser, out io.Writer, socket string) error {
	d := net.Dialer{Timeout: 2 * time.Second}
	conn, err := d.DialContext(ctx, "unix", socket)
	if err != nil {
		_, werr := io.WriteString(out, greeting+greetNone+"\n")
		return errors.Join(fmt.Errorf("%w: %w", ErrNotRunning, err), werr)
	}
	if _, err := io.WriteString(out, greeting+greetReady+"\n"); err != nil {
		return errors.Join(err, conn.Close())
	}
	ended := make(chan error, 2)
	go func() { _, err := io.Copy(conn, in); ended <- err }()
	go func() { _, err := io.Copy(out, conn); ended <- err }()
	select {
	case err = <-ended:
	case <-ctx.Done():
		err = nil
	}
	// A read from a terminal or a pipe cannot always be interrupted. The process
	// ends next, and the other copy with it.
	return errors.Join(err, conn.Close())
}
