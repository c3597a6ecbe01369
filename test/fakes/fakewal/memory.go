package fakewal

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// PeakMemory forgets the process's highest resident size so far; the function that it
// returns gives the highest since, in MiB.
func PeakMemory(t testing.TB) func() float64 {
	t.Helper()
	if err := os.WriteFile("/proc/self/clear_refs", []byte("5"), 0); err != nil {
		t.Fatal(err)
	}
	return func() float64 {
		b, err := os.ReadFile("/proc/self/status")
		if err != nil {
			t.Fatal(err)
		}
		var kB float64
		for line := range strings.Lines(string(b)) {
			if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
				if _, err := fmt.Sscan(rest, &kB); err != nil {
					t.Fatal(err)
				}
			}
		}
		return kB / 1024
	}
}
