package main

import (
	"bytes"
	"fmt"
	"strings"
	"time"
)

// commentedOut puts "#" before every line that sets something. The comments of the
// example stay as they are: they have a space behind the "#".
func commentedOut(example []byte) []byte {
	var b bytes.Buffer
	for line := range strings.Lines(string(example)) {
		text := strings.TrimSpace(line)
		if text != "" && !strings.HasPrefix(text, "#") {
			b.WriteByte('#')
		}
		b.WriteString(line)
	}
	return b.Bytes()
}

// changelog is Debian's: it points to the release's own.
func changelog(program, version string, at time.Time) []byte {
	return fmt.Appendf(nil, "%s (%s) unstable; urgency=medium\n\n"+
		"  * Release %s: see https://github.com/repool/repool/blob/main/CHANGELOG.md\n\n"+
		" -- The repool developers <repool@example.org>  %s\n", program, version, version, at.Format(time.RFC1123Z))
}
