package hook

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/repool/repool/internal/codes"
	"github.com/repool/repool/internal/core/topology"
)

const (
	spoolDir = "spool"
	doneDir  = "done"
	// keepDone is how many finished events are kept for people to look at.
	keepDone = 100
	timeForm = "20060102T150405.000000000"
)

// entry is one event's file in the spool.
type entry struct {
	Event Event `json:"event"`
	// Tries are the outcomes so far; the last one says why the event is done,
	// or why it still waits.
	Tries []try `json:"tries,omitempty"`
}

// try is one attempt at an event.
type try struct {
	At   time.Time `json:"at"`
	Code Code      `json:"code"`
	Text string    `json:"text"`
}

// spool keeps the events of one state directory: what waits in spool/, what is
// done in spool/done/.
type spool struct{ dir string }

func spoolOf(stateDir string) spool { return spool{filepath.Join(stateDir, spoolDir)} }

func (s spool) path(id string) string { return filepath.Join(s.dir, id+".json") }

// put writes a new event and gives it its id. A durable one is on disk, with its
// name, when put returns.
func (s spool) put(e *Event, durable bool) error {
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return fmt.Errorf("make spool: %w", err)
	}
	id := fmt.Sprintf("%s-%s-node%d", e.At.UTC().Format(timeForm), e.Kind, int(e.Failed))
	for n := 1; ; n++ {
		e.ID = id
		if n > 1 {
			e.ID = fmt.Sprintf("%s-%d", id, n)
		}
		text, err := encode(entry{Event: *e})
		if err == nil {
			err = writeFile(s.path(e.ID), text, durable, os.Link)
		}
		if errors.Is(err, os.ErrExist) && n < 1000 {
			continue // two hooks were called within one tick
		}
		if err != nil {
			e.ID = ""
			return fmt.Errorf("write event: %w", err)
		}
		return nil
	}
}

func (s spool) read(id string) (entry, error) {
	var en entry
	text, err := os.ReadFile(s.path(id))
	if err != nil {
		return en, fmt.Errorf("read event: %w", err)
	}
	if err := json.Unmarshal(text, &en); err != nil {
		return en, fmt.Errorf("read event %s: %w", s.path(id), err)
	}
	en.Event.ID = id
	return en, nil
}

// note adds an outcome to an event; a done one moves to the finished events. An
// event that another process has finished meanwhile is left alone. news is false
// if the last outcome was the same.
func (s spool) note(e Event, t try, done bool) (news bool, err error) {
	if e.ID == "" {
		return true, nil // it could not be written when it came
	}
	en, err := s.read(e.ID)
	if errors.Is(err, os.ErrNotExist) {
		return true, nil
	}
	if err != nil {
		en = entry{Event: e}
	}
	if n := len(en.Tries); n > 0 && !done && en.Tries[n-1].Code == t.Code && en.Tries[n-1].Text == t.Text {
		return false, nil // a resumed event would grow without end
	}
	en.Tries = append(en.Tries, t)
	if err := s.write(s.path(e.ID), en); err != nil || !done {
		return true, err
	}
	to := filepath.Join(s.dir, doneDir)
	if err := os.MkdirAll(to, 0o700); err != nil {
		return true, fmt.Errorf("make spool: %w", err)
	}
	if err := os.Rename(s.path(e.ID), filepath.Join(to, e.ID+".json")); err != nil {
		return true, fmt.Errorf("finish event: %w", err)
	}
	return true, s.prune(to)
}

// prune keeps the newest finished events; names sort by time.
func (s spool) prune(dir string) error {
	names, err := events(dir)
	if err != nil {
		return err
	}
	for _, id := range names[:max(0, len(names)-keepDone)] {
		if err := os.Remove(filepath.Join(dir, id+".json")); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("prune events: %w", err)
		}
	}
	return nil
}

func (s spool) write(path string, en entry) error {
	text, err := encode(en)
	if err == nil {
		err = writeFile(path, text, false, os.Rename)
	}
	if err != nil {
		return fmt.Errorf("write event: %w", err)
	}
	return nil
}

func encode(v any) ([]byte, error) {
	text, err := json.MarshalIndent(v, "", "  ")
	return append(text, '\n'), err
}

// pending lists the waiting events, oldest first. A garbled file is renamed, so
// that it is reported once and does not hide the others.
func (s spool) pending() ([]Event, error) {
	ids, err := events(s.dir)
	if err != nil {
		return nil, err
	}
	var out []Event
	var errs []error
	for _, id := range ids {
		en, err := s.read(id)
		switch {
		case errors.Is(err, os.ErrNotExist): // finished in this moment
		case err != nil:
			errs = append(errs, err, os.Rename(s.path(id), s.path(id)+".garbled"))
		default:
			out = append(out, en.Event)
		}
	}
	return out, errors.Join(errs...)
}

// Refused is why the newest unfinished failover has promoted nothing so far, by the
// rules of policy.failover; the zero value where there is none, or the reason is another.
func Refused(stateDir string) topology.FailoverRefusal {
	s := spoolOf(stateDir)
	ids, err := events(s.dir)
	if err != nil {
		return topology.FailoverRefusal{}
	}
	slices.Reverse(ids)
	for _, id := range ids {
		en, err := s.read(id)
		if err != nil || !en.Event.PrimaryLost() || len(en.Tries) == 0 {
			continue
		}
		last := en.Tries[len(en.Tries)-1]
		switch last.Code {
		case CodeSynchronousMissing, CodeTooFewAnswers, CodeTooFarBehind:
			return topology.FailoverRefusal{Code: codes.Code(last.Code), Text: last.Text, At: last.At}
		}
		return topology.FailoverRefusal{}
	}
	return topology.FailoverRefusal{}
}

// events lists the ids of the events in dir; none where there is no such dir.
func events(dir string) ([]string, error) {
	list, err := os.ReadDir(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read spool: %w", err)
	}
	var ids []string
	for _, f := range list {
		if id, ok := strings.CutSuffix(f.Name(), ".json"); ok && !f.IsDir() && !strings.HasPrefix(id, ".") {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids, nil
}

// writeFile writes a whole file in one step: a reader, or a crash, sees all of
// it or nothing. It gets its name by os.Rename, or by os.Link where it must be
// new. Durable: text and name survive a power cut.
func writeFile(path string, text []byte, durable bool, name func(from, to string) error) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return err
	}
	defer func() {
		if rerr := os.Remove(f.Name()); rerr != nil && !errors.Is(rerr, os.ErrNotExist) {
			err = errors.Join(err, rerr)
		}
	}()
	_, err = f.Write(text)
	if err == nil && durable {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := name(f.Name(), path); err != nil || !durable {
		return err
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
