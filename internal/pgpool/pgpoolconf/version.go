package pgpoolconf

import (
	"cmp"
	"fmt"
	"regexp"
	"strconv"
)

// Version of Pgpool-II, as 4.3.5. The zero value means not known.
type Version struct{ Major, Minor, Patch int }

var versionText = regexp.MustCompile(`\b(\d{1,4})\.(\d{1,4})(?:\.(\d{1,4}))?`)

// ParseVersion finds the version in a text such as what "pgpool --version"
// prints. "4.7devel" and "4.7" have patch 0.
func ParseVersion(text string) (Version, error) {
	m := versionText.FindStringSubmatch(text)
	if m == nil {
		return Version{}, fmt.Errorf("no version of Pgpool-II in %q", text)
	}
	number := func(s string) int {
		n, _ := strconv.Atoi(s) // digits only, or empty for none
		return n
	}
	return Version{number(m[1]), number(m[2]), number(m[3])}, nil
}

// AtLeast tells whether v is major.minor.patch or later.
func (v Version) AtLeast(major, minor, patch int) bool {
	return cmp.Or(cmp.Compare(v.Major, major), cmp.Compare(v.Minor, minor), cmp.Compare(v.Patch, patch)) >= 0
}

func (v Version) String() string {
	return fmt.Sprintf("%d.%d.%d", v.Major, v.Minor, v.Patch)
}

// noUser is the default of the user names for checks.
func (v Version) noUser() string {
	if v.AtLeast(4, 6, 0) {
		return ""
	}
	return "nobody"
}

// onShutdown is the default of failover_on_backend_shutdown. Before 4.3 the
// parameter did not exist and a shutdown always led to failover.
func (v Version) onShutdown() bool {
	switch {
	case v.AtLeast(4, 6, 0):
		return false
	case v.AtLeast(4, 5, 0):
		return !v.AtLeast(4, 5, 1)
	case v.AtLeast(4, 4, 0):
		return !v.AtLeast(4, 4, 6)
	}
	return !v.AtLeast(4, 3, 9)
}
