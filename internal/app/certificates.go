package app

import (
	"maps"
	"slices"

	"github.com/repool/repool/internal/config"
	"github.com/repool/repool/internal/node/agentapi"
	"github.com/repool/repool/internal/show/metrics"
)

// certificatesOf gives the certificates of this controller, as they are on disk
// now, and those that agents have presented. A file that cannot be read has no
// series; repool check says why.
func certificatesOf(p *config.Pool, have *agents) func() []metrics.Certificate {
	if p.TLS.Cert == "" {
		return nil
	}
	files := certFiles(p)
	return func() []metrics.Certificate {
		var out []metrics.Certificate
		own, _ := files.Expiries() // gives what could be read; repool check reports the rest
		for _, c := range own {
			holder := "controller"
			if c.Path == files.CA {
				holder = "authority"
			}
			out = append(out, metrics.Certificate{Holder: holder, Name: c.Name, NotAfter: c.NotAfter})
		}
		made := have.all()
		for _, id := range slices.Sorted(maps.Keys(made)) {
			if name, until := agentapi.Peer(made[id]); !until.IsZero() {
				out = append(out, metrics.Certificate{Holder: "agent", Name: name, NotAfter: until})
			}
		}
		return out
	}
}
