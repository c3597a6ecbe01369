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
