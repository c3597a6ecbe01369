package cli

import (
	"bytes"
	"regexp"
	"strings"
	"testing"

	"golang.org/x/crypto/bcrypt"

	"github.com/repool/repool/internal/exit"
)

func TestSetupPassword(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		in   string
		code int
	}{
		"good":                {"correct horse battery\n", exit.OK},
		"without its newline": {"correct horse battery", exit.OK},
		"short":               {"horse\n", exit.Usage},
		"none":                {"", exit.Usage},
		"longer than is used": {strings.Repeat("x", 73), exit.Usage},
	} {
		var out, errOut bytes.Buffer
		g := &globals{out: &out, err: &errOut}
		err := g.runPassword(strings.NewReader(c.in))
		if code := exit.Code(err); code != c.code {
			t.Errorf("%s: status %d: %v", name, code, err)
		}
		m := regexp.MustCompile(`password_hash: "(.+)"`).FindStringSubmatch(out.String())
		if c.code == exit.OK && (m == nil ||
			bcrypt.CompareHashAndPassword([]byte(m[1]), []byte("correct horse battery")) != nil) {
			t.Errorf("%s: printed %q", name, out.String())
		}
		if strings.Contains(out.String()+errOut.String(), "horse") {
			t.Errorf("%s: the password is shown", name)
		}
	}
}
