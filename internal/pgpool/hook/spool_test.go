package hook

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestSpoolSurvivesGarbage(t *testing.T) {
	t.Parallel()
	s := spoolOf(t.TempDir())
	e := lost
	e.At = time.Now()
	for range 3 { // within one tick
		if err := s.put(&e, true); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(s.path("0-garbled"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	events, err := s.pending()
	if err == nil || len(events) != 3 || !strings.Contains(err.Error(), "0-garbled") {
		t.Errorf("pending %v, %v", events, err)
	}
	if events, err := s.pending(); err != nil || len(events) != 3 {
		t.Errorf("told twice: %v, %v", events, err)
	}
	for i := range keepDone + 5 {
		e := Event{Kind: KindFollow, Failed: 1, At: e.At.Add(time.Duration(i) * time.Second)}
		err := s.put(&e, false)
		if err == nil {
			_, err = s.note(e, try{Code: CodeNoted}, true)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	kept, err := finished(s)
	if err != nil || kept != keepDone {
		t.Errorf("%d finished events kept, %v", kept, err)
	}
}

func finished(s spool) (int, error) {
	ids, err := events(filepath.Join(s.dir, doneDir))
	return len(ids), err
}
