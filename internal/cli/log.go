package cli

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/pflag"

	"github.com/repool/repool/internal/config"
	"github.com/repool/repool/internal/exit"
)

// logFlag gives a command --log-format.
func (g *globals) logFlag(f *pflag.FlagSet) {
	f.StringVar(&g.logFormat, "log-format", "",
		"`format` of the log: text or json (default: log.format of repool.yaml, else text)")
}

// log writes to standard error, in the given format unless --log-format names
// another.
func (g *globals) log(format string) (*slog.Logger, error) {
	level := slog.LevelInfo
	if g.verbose {
		level = slog.LevelDebug
	}
	if g.logFormat != "" {
		format = g.logFormat
	}
	if !slices.Contains(config.LogFormats, format) {
		return nil, exit.New(exit.Usage, "log format %q is not one of %s", format, strings.Join(config.LogFormats, ", "))
	}
	return slog.New(newLogHandler(g.err, format, level, toJournal(g.err, os.Getenv("JOURNAL_STREAM")))), nil
}

// quiet logs errors only: for commands whose output is their answer.
func (g *globals) quiet() *slog.Logger {
	level := slog.LevelError
	if g.verbose {
		level = slog.LevelDebug
	}
	return slog.New(slog.NewTextHandler(g.err, &slog.HandlerOptions{Level: level}))
}

// toJournal says whether w is connected to systemd's journal: stream, from the
// environment, names that file by device and inode.
func toJournal(w io.Writer, stream string) bool {
	f, ok := w.(*os.File)
	if !ok || stream == "" {
		return false
	}
	info, err := f.Stat()
	if err != nil {
		return false
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	return ok && fmt.Sprintf("%d:%d", st.Dev, st.Ino) == stream
}

func newLogHandler(w io.Writer, format string, level slog.Level, journal bool) slog.Handler {
	if !journal {
		return formatted(w, format, level, false)
	}
	return journalHandler{
		slog.LevelDebug: formatted(prefixed{w, "<7>"}, format, level, true),
		slog.LevelInfo:  formatted(prefixed{w, "<6>"}, format, level, true),
		slog.LevelWarn:  formatted(prefixed{w, "<4>"}, format, level, true),
		slog.LevelError: formatted(prefixed{w, "<3>"}, format, level, true),
	}
}

func formatted(w io.Writer, format string, level slog.Level, journal bool) slog.Handler {
	o := &slog.HandlerOptions{Level: level, ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
		if journal && len(groups) == 0 && a.Key == slog.TimeKey {
			return slog.Attr{} // the journal has its own
		}
		if a.Value.Kind() == slog.KindDuration { // JSON would count nanoseconds
			a.Value = slog.StringValue(a.Value.Duration().Round(time.Microsecond).String())
		}
		return a
	}}
	if format == "json" {
		return slog.NewJSONHandler(w, o)
	}
	return slog.NewTextHandler(w, o)
}

// journalHandler tells the journal each line's priority by the prefix of
// sd-daemon(3), which the journal takes off again: one handler for each level.
type journalHandler map[slog.Level]slog.Handler

func (h journalHandler) at(l slog.Level) slog.Handler {
	for _, known := range []slog.Level{slog.LevelError, slog.LevelWarn, slog.LevelInfo} {
		if l >= known {
			return h[known]
		}
	}
	return h[slog.LevelDebug]
}

func (h journalHandler) Enabled(ctx context.Context, l slog.Level) bool {
	return h.at(l).Enabled(ctx, l)
}

func (h journalHandler) Handle(ctx context.Context, r slog.Record) error {
	return h.at(r.Level).Handle(ctx, r)
}

func (h journalHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return h.each(func(s slog.Handler) slog.Handler { return s.WithAttrs(attrs) })
}

func (h journalHandler) WithGroup(name string) slog.Handler {
	return h.each(func(s slog.Handler) slog.Handler { return s.WithGroup(name) })
}

func (h journalHandler) each(f func(slog.Handler) slog.Handler) slog.Handler {
	out := journalHandler{}
	for l, s := range h {
		out[l] = f(s)
	}
	return out
}

// prefixed writes its prefix before each line, in the same write.
type prefixed struct {
	w      io.Writer
	prefix string
}

func (p prefixed) Write(b []byte) (int, error) {
	n, err := p.w.Write(append([]byte(p.prefix), b...))
	return max(0, n-len(p.prefix)), err
}
