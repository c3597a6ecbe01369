package config

import (
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// ShimMark is in every script that repool installs as a hook.
const ShimMark = "repool hook shim"

// builtin says whether resync_command is the built-in engine: it is empty, calls
// `repool hook resync`, or names a script that does (see ShimMark). Run as the
// operator's own command, it would only call repool again.
func builtin(command string) bool {
	words := strings.Fields(command)
	for i, w := range words {
		words[i] = strings.Trim(w, `"'`)
	}
	if len(words) == 0 {
		return true
	}
	if filepath.Base(words[0]) == "repool" {
		hook := slices.Index(words, "hook")
		return hook > 0 && slices.Contains(words[hook:], "resync")
	}
	f, err := os.Open(words[0])
	if err != nil {
		return false
	}
	defer func() { _ = f.Close() }()
	head, err := io.ReadAll(io.LimitReader(f, 1024))
	return err == nil && strings.Contains(string(head), ShimMark)
}
