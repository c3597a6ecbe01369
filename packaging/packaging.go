// Package packaging holds what is installed beside the program: systemd units,
// the example configuration, and the lists of what each package has.
//
// The units are embedded, so that `repool setup` installs the very files that
// the package has.
package packaging

import (
	"embed"
	"fmt"
)

//go:embed systemd/*.service
var units embed.FS

// Unit is the text of one systemd unit, such as "repool.service".
func Unit(name string) (string, error) {
	text, err := units.ReadFile("systemd/" + name)
	if err != nil {
		return "", fmt.Errorf("no such unit: %w", err)
	}
	return string(text), nil
}
