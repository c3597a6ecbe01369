package dbhost

import (
	"io"
	"os"
	"path/filepath"
	"strings"
)

// logMark remembers how long the server's logs were, so that an error shows
// only what came after.
type logMark map[string]int64

// plainLog is where pg_ctl sends what the server prints before its own
// logging begins; without logging_collector it is the whole log.
func (h *Host) plainLog() string { return filepath.Join(h.workDir, "server.log") }

// serverLogs lists the files the server may be logging to.
func (h *Host) serverLogs() []string {
	var logs []string
	if l, err := h.layout(); err == nil && l.debian() {
		dir := filepath.Dir(l.config)
		link, err := os.Readlink(filepath.Join(dir, "log"))
		if err != nil {
			link = filepath.Join("/var/log/postgresql", "postgresql-"+l.version+"-"+l.cluster+".log")
		}
		logs = append(logs, link)
	} else {
		logs = append(logs, h.plainLog())
	}
	// With logging_collector the server says itself where its log is now.
	b, err := os.ReadFile(filepath.Join(h.home, "current_logfiles"))
	if err != nil {
		return logs
	}
	for line := range strings.Lines(string(b)) {
		if _, path, ok := strings.Cut(strings.TrimSpace(line), " "); ok {
			if !filepath.IsAbs(path) {
				path = filepath.Join(h.home, path)
			}
			logs = append(logs, path)
		}
	}
	return logs
}

func (h *Host) markLog() logMark {
	mark := logMark{}
	for _, f := range h.serverLogs() {
		if st, err := os.Stat(f); err == nil {
			mark[f] = st.Size()
		}
	}
	return mark
}

// LogTail is the last lines of the server's log, for evidence.
func (h *Host) LogTail() string { return h.logTail(nil) }

// logTail is the last lines that came to the server's log since mark.
func (h *Host) logTail(mark logMark) string {
	var all []string
	for _, f := range h.serverLogs() {
		all = append(all, tailOf(f, mark[f])...)
	}
	return strings.Join(all[max(0, len(all)-tailLines):], "\n")
}

// logSince is what came to the server's logs since mark, as far as a start's
// messages go. In a file that mark does not know, only the newest start counts.
func (h *Host) logSince(mark logMark) string {
	var all strings.Builder
	for _, f := range h.serverLogs() {
		from, known := mark[f]
		text := readFrom(f, from, sinceBytes)
		if i := strings.LastIndex(text, startsLine); !known && i >= 0 {
			text = text[i:]
		}
		all.WriteString(text + "\n")
	}
	return all.String()
}

const (
	// sinceBytes is more than a server says that does not start.
	sinceBytes = 256 << 10
	// startsLine begins the messages of a start.
	startsLine = "starting PostgreSQL"
)

// readFrom reads the end of a file, at most most bytes and nothing before from.
func readFrom(path string, from, most int64) string {
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return ""
	}
	from = max(from, st.Size()-most)
	b, err := io.ReadAll(io.NewSectionReader(f, from, max(0, st.Size()-from)))
	if err != nil {
		return ""
	}
	return string(b)
}

// tailOf reads the last lines of a file, at most 8 KiB and nothing before from.
func tailOf(path string, from int64) []string {
	text := readFrom(path, from, 8<<10)
	if text == "" {
		return nil
	}
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return lines[max(0, len(lines)-tailLines):]
}
