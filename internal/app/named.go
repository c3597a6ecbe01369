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
// changes: a name that is taken out is refused with its next call. While the file
// cannot be read, or says something impossible, the names of before hold. Its
// methods may be called from several goroutines.
type namedControllers struct {
	path string
	log  *slog.Logger

	mu    sync.Mutex
	names []string
	size  int64
	time  time.Time
}

// newNamedControllers begins with the names of p, which was read from its file
// just now; without a file they stay.
func newNamedControllers(p *config.Pool, log *slog.Logger) *namedControllers {
	return &namedControllers{path: p.File, log: log, names: p.Agent.Controllers}
}

// now gives the names that hold now. The caller must not change them.
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
		c.log.Error("agent.controllers is not read again: the names of before go on to hold", "path", c.path, "err", err)
		return c.names
	}
	if names := l.Config.Agent.Controllers; !slices.Equal(names, c.names) {
		c.log.Warn("agent.controllers has changed", "from", c.names, "who", names)
		c.names = names
	}
	return c.names
}
