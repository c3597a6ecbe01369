package dbhost

import "testing"

// FuzzProgress: whatever a program prints, a line is read, in whole kilobytes that
// have not wrapped around, or passed over.
func FuzzProgress(f *testing.F) {
	f.Add("  1024/2048 kB (50%), 0/1 tablespace")
	f.Add("99999999999999999999/1 kB (1%)")
	f.Fuzz(func(t *testing.T, line string) {
		calls := 0
		showProgress(line, func(done, total uint64) {
			calls++
			if done%1024 != 0 || total%1024 != 0 {
				t.Errorf("%q: %d of %d bytes are no kilobytes", line, done, total)
			}
		})
		if calls > 1 {
			t.Errorf("%q was shown %d times", line, calls)
		}
	})
}
