package dbhost

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/repool/repool/internal/node/postgres"
	"github.com/repool/repool/internal/node/resync"
)

func TestCompressionThatTheUpstreamHas(t *testing.T) {
	t.Parallel()
	debian, bare := []string{"pglz", "lz4", "zstd", "on", "off"}, []string{"pglz", "on", "off"}
	for name, c := range map[string]struct {
		want    string
		near    bool
		version int
		have    []string
		is      string
		told    bool // why not
	}{
		"nothing said":            {"", false, 150018, debian, "", false},
		"none":                    {"none", false, 150018, debian, "", false},
		"auto":                    {"auto", false, 150018, debian, "lz4", false},
		"auto on one host":        {"auto", true, 150018, debian, "", false},
		"auto before 15":          {"auto", false, 140012, debian, "", true},
		"auto without lz4":        {"auto", false, 160004, []string{"pglz", "zstd"}, "zstd", false},
		"auto without either":     {"auto", false, 160004, bare, "", true},
		"asked for, on one host":  {"lz4", true, 150018, debian, "lz4", false},
		"asked for, not built in": {"zstd", false, 150018, bare, "", true},
		"asked for, before 15":    {"zstd", false, 130000, debian, "", true},
		"gzip":                    {"gzip", false, 150018, bare, "gzip", false},
	} {
		if is, why := compression(c.want, c.near, c.version, c.have); is != c.is || (why != "") != c.told {
			t.Errorf("%s: %q (%q), want %q", name, is, why, c.is)
		}
	}
}

func TestNear(t *testing.T) {
	t.Parallel()
	for host, want := range map[string]bool{"": true, "/run/postgresql": true, "127.0.0.1": true, "::1": true,
		"localhost": true,
		"192.0.2.7": false, "no-such-host.invalid": false} {
		if near(t.Context(), host) != want {
			t.Errorf("%q is near: %v", host, !want)
		}
	}
	own, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range own {
		if n, ok := a.(*net.IPNet); ok && !n.IP.IsLinkLocalUnicast() && !near(t.Context(), n.IP.String()) {
			t.Errorf("%s, an own address, is not near", n.IP)
		}
	}
}

// A compressed copy is asked for, is sound, and shows all of the bytes in the end,
// and not what came over the network.
func TestCompressedBaseBackup(t *testing.T) {
	t.Parallel()
	standby, primary := diverged(t, 1, true, setup{})
	primary.exec("ALTER SYSTEM SET log_replication_commands = on", "SELECT pg_reload_conf()")
	standby.move(resync.Home, resync.InRepair)
	for _, algorithm := range postgres.Compressions[2:] {
		standby.o.Compression = algorithm
		var done, total uint64
		if err := standby.BaseBackup(t.Context(), primary.upstream(), "", func(d, n uint64) {
			if d < done || d > n {
				t.Errorf("%s: %d of %d after %d", algorithm, d, n, done)
			}
			done, total = d, n
		}); err != nil {
			t.Fatal(err)
		}
		if total == 0 || done < total/10*9 {
			t.Errorf("%s: it ended at %d of %d bytes", algorithm, done, total)
		}
		if err := standby.VerifyBackup(t.Context()); err != nil {
			t.Error(err)
		}
		said, err := os.ReadFile(primary.plainLog())
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(said), "COMPRESSION '"+algorithm+"'") {
			t.Errorf("%s: the primary was not asked to compress", algorithm)
		}
		if err := os.RemoveAll(filepath.Clean(standby.path(resync.New))); err != nil {
			t.Fatal(err)
		}
	}
}
