package app

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/repool/repool/internal/config"
	"github.com/repool/repool/internal/node/dbhost"
)

// The configuration accepts what dbhost can do.
func TestCompressionsOfTheConfigurationAreThoseOfTheHands(t *testing.T) {
	t.Parallel()
	for _, c := range append([]string{"snappy"}, dbhost.Compressions...) {
		path := filepath.Join(t.TempDir(), "repool.yaml")
		if err := os.WriteFile(path, []byte("policy: {compression: "+c+"}\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := config.LoadOrDefault(path, true, ""); (err == nil) != (c != "snappy") {
			t.Errorf("%s: %v", c, err)
		}
	}
}
