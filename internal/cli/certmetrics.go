package cli

import (
	"github.com/repool/repool/internal/admin/certs"
	"github.com/repool/repool/internal/config"
	"github.com/repool/repool/internal/node/agentapi"
	"github.com/repool/repool/internal/show/metrics"
)

// certificatesOf gives the certificates of this controller, as they are on disk
// now, and those that the agents have shown. A file that cannot be read has no
// series; a check tells why.
func certificatesOf(p *config.Pool, w *wiring) func() []metrics.Certificate {
	if p.TLS.Cert == "" {
		return nil
	}
	files := &certs.Files{CA: p.TLS.CA, Cert: p.TLS.Cert, Key: p.TLS.Key}
	return func() []metrics.Certificate {
		var out []metrics.Certificate
		own, _ := files.Expiries() // what could be read is given all the same
		for _, c := range own {
			holder := "controller"
			if c.Path == files.CA {
				holder = "authority"
			}
			out = append(out, metrics.Certificate{Holder: holder, Name: c.Name, NotAfter: c.NotAfter})
		}
		for _, id := range w.ids {
			if name, until := agentapi.Peer(w.agents[id]); !until.IsZero() {
				out = append(out, metrics.Certificate{Holder: "agent", Name: name, NotAfter: until})
			}
		}
		return out
	}
}
