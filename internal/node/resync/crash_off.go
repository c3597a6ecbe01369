//go:build !crashpoints

package resync

// CrashPoint is nil: only a program built with -tags crashpoints kills itself.
func CrashPoint() func(name string) { return nil }
