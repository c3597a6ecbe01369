package app

import (
	"context"
	"strings"
	"testing"
	"time"
)

// TestLockOfAControllerThatIsGoing: a lock that is taken is waited for, and not for long.
func TestLockOfAControllerThatIsGoing(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	unlock, err := lockStateDir(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := lockStateDir(gone, dir); err == nil || !strings.Contains(err.Error(), "another controller runs") {
		t.Errorf("while it is taken: %v", err)
	}
	time.AfterFunc(100*time.Millisecond, func() { _ = unlock() })
	again, err := lockStateDir(t.Context(), dir)
	if err != nil {
		t.Fatalf("a lock that became free: %v", err)
	}
	if err := again(); err != nil {
		t.Fatal(err)
	}
}
