package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/repool/repool/internal/exit"
)

func TestLogFormats(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		format  string
		journal bool
		want    string
	}{
		"text": {"text", false,
			`time=T level=WARN msg="run ended" node=1 run=r1 took=1.5s err="no space"` + "\n"},
		"json": {"json", false,
			`{"time":"T","level":"WARN","msg":"run ended","node":1,"run":"r1","took":"1.5s","err":"no space"}` + "\n"},
		"text in journald": {"text", true, `<4>level=WARN msg="run ended" node=1 run=r1 took=1.5s err="no space"` + "\n"},
		"json in journald": {"json", true,
			`<4>{"level":"WARN","msg":"run ended","node":1,"run":"r1","took":"1.5s","err":"no space"}` + "\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var b bytes.Buffer
			log := slog.New(newLogHandler(&b, c.format, slog.LevelInfo, c.journal)).With("node", 1)
			log.Debug("not this")
			log.Warn("run ended", "run", "r1", "took", 1500*time.Millisecond, "err", errors.New("no space"))
			got := b.String()
			var line struct{ Time string }
			if c.format == "json" && !c.journal {
				if err := json.Unmarshal([]byte(got), &line); err != nil {
					t.Fatal(err)
				}
				got = strings.Replace(got, line.Time, "T", 1)
			}
			if after, is := strings.CutPrefix(got, "time="); is {
				_, rest, _ := strings.Cut(after, " ")
				got = "time=T " + rest
			}
			if got != c.want {
				t.Errorf("got  %swant %s", got, c.want)
			}
		})
	}
}

func TestPrioritiesOfTheJournal(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	log := slog.New(newLogHandler(&b, "text", slog.LevelDebug, true)).WithGroup("g")
	log.Debug("a")
	log.Info("b")
	log.Warn("c")
	log.Error("d")
	if got := b.String(); got != "<7>level=DEBUG msg=a\n<6>level=INFO msg=b\n<4>level=WARN msg=c\n<3>level=ERROR msg=d\n" {
		t.Error(got)
	}
}

func TestJournalIsKnownByItsFile(t *testing.T) {
	t.Parallel()
	f, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	st := info.Sys().(*syscall.Stat_t)
	stream := fmt.Sprintf("%d:%d", st.Dev, st.Ino)
	if !toJournal(f, stream) || toJournal(f, "") || toJournal(f, stream+"1") || toJournal(&bytes.Buffer{}, stream) {
		t.Error("the journal's stream is not told from another")
	}
}

func TestLogFormatOfTheFlag(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	g := &globals{err: &b, logFormat: "json"}
	log, err := g.log("text")
	if err != nil {
		t.Fatal(err)
	}
	log.Info("x")
	if !strings.HasPrefix(b.String(), "{") {
		t.Error(b.String())
	}
	g.logFormat = "xml"
	if _, err := g.log("text"); exit.Code(err) != exit.Usage {
		t.Errorf("xml: %v", err)
	}
}
