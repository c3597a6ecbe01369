package app

import (
	"log/slog"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/repool/repool/internal/config"
)

// namedControllers are the names in agent.controllers, read again when the file
// changes: a controller whose name is removed is refused from its next call on. While
// the file cannot be read or is not valid, the previous names stay. The methods may
// be called from several goroutines.
type namedControllers struct {
	path string
	log  *slog.Logger

	mu    sync.Mutex
	names []string
	size  int64
	time  time.Time
}

// newNamedControllers starts with the names of p, just read from its file; without a
// file they never change.
func newNamedControllers(p *config.Pool, log *slog.Logger) *namedControllers {
	return &namedControllers{path: p.File, log: log, names: p.Agent.Controllers}
}

// now gives the current names. The caller must not change them.
func (c *namedControllers) now() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.path == "" {
		return c.names
	}
	info, err := os.Stat(c.path)
	if err != nil || info.Size() == c.size && info.ModTime().Equal(c.time) {
		return c.names
	}
	c.size, c.time = info.Size(), info.ModTime()
	l, err := config.LoadOrDefault(c.path, true, "")
	if err != nil {
		c.log.Error("cannot read agent.controllers again, so the previous names stay", "path", c.path, "err", err)
		return c.names
	}
	if names := l.Config.Agent.Controllers; !slices.Equal(names, c.names) {
		c.log.Warn("agent.controllers has changed", "from", c.names, "who", names)
		c.names = names
	}
	return c.names
}
