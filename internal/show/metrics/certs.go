package metrics

import "time"

// Certificate is one that controller and agents authenticate with.
type Certificate struct {
	// Holder is "controller", "authority", or "agent" for one that an agent has
	// shown on the connection that is open now.
	Holder, Name string
	NotAfter     time.Time
}

type certFamilies struct{ expiry *family }

func newCertFamilies(f *families) certFamilies {
	return certFamilies{expiry: f.gauge("repool_certificate_expiry_timestamp_seconds",
		"When a TLS certificate of controller or agents expires. holder is controller, authority or agent;"+
			" an agent that is not connected has no series.", "holder", "name")}
}

func (f *certFamilies) collect(s sink, certificates []Certificate) {
	seen := map[Certificate]bool{} // agents may share a name
	for _, c := range certificates {
		at := c.NotAfter
		if c.NotAfter = (time.Time{}); seen[c] {
			continue
		}
		seen[c] = true
		s.when(f.expiry, at, c.Holder, c.Name)
	}
}
