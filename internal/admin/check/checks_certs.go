package check

import (
	"fmt"
	"time"

	"github.com/repool/repool/internal/admin/certs"
)

// checkCertificates judges the certificates of this host. Those of the agents are
// judged by the controller that connects to them, and by the check on their hosts.
func checkCertificates(f *Facts, r *results) {
	if f.Files.CertsErr != "" {
		r.problem(Finding{Subject: "files", Found: f.Files.CertsErr,
			Remedy: "repool certs   # creates them; the key must have mode 600 and belong to the user that runs repool"})
	}
	for _, c := range f.Files.Certs {
		until := c.NotAfter.UTC().Format(time.DateOnly)
		renew := Finding{Subject: "files", At: c.Path, Remedy: "repool certs renew " + c.Path}
		switch certs.StateAt(c.NotAfter, f.Taken) {
		case certs.Expired:
			renew.Found = fmt.Sprintf("the certificate of %s expired on %s", c.Name, until)
			r.problem(renew)
		case certs.Soon:
			renew.Found = fmt.Sprintf("the certificate of %s expires on %s", c.Name, until)
			r.warn(renew)
		case certs.Good:
			r.ok("files", fmt.Sprintf("the certificate of %s is valid until %s", c.Name, until))
		}
	}
}
