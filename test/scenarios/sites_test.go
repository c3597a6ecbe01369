package scenarios

import (
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/repool/repool/internal/admin/check"
	"github.com/repool/repool/internal/codes"
	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/lab"
)

// theStandbys stands for subjects of findings.
var theStandbys = []string{"node 1", "node 2"}

// wantFindings is what check must find on a pool of each site, by id and subject; nothing on the others.
var wantFindings = map[string]map[string][]string{
	"localhost": {"host-spelling": theStandbys},
	"vip":       {"host-spelling": theStandbys},
}

// wantRefused is the code of a node that repool leaves to a person: an old primary that diverged, and a standby
// without a directory.
var wantRefused = map[string]struct{ diverged, wiped codes.Code }{
	"tablespaces": {wiped: codes.Tablespaces}, // its folder has a database that no directory leads to
}

// Each pool is built in a way, or several ways together, in which the other scenarios' pools never are. check names
// what is wrong with it and nothing else; a primary that diverged and a standby without a directory come back, or are
// refused with a code.
func TestSites(t *testing.T) {
	for _, sites := range []string{
		"localhost,tls,wal-1mb",
		"vip,split-config,utf8",
		"sockets,log-link,wal-64mb",
		"debian,odd-files",
		"supervised",
		"wal-link",
		"start-options",
		"tablespaces",
		"mount",
	} {
		t.Run(sites, func(t *testing.T) { tryPool(t, strings.Split(sites, ",")) })
	}
}

// Every site of the lab is in TestSites.
func TestEverySiteIsTried(t *testing.T) {
	b, err := os.ReadFile("sites_test.go")
	if err != nil {
		t.Fatal(err)
	}
	_, list, _ := strings.Cut(string(b), "func TestSites(")
	list, _, _ = strings.Cut(list, "t.Run(")
	for _, name := range lab.SiteNames() {
		if !strings.Contains(strings.NewReplacer(`"`, ",").Replace(list), ","+name+",") {
			t.Errorf("no pool of TestSites is of site %s", name)
		}
	}
}

func tryPool(t *testing.T, sites []string) {
	if slices.Contains(sites, "mount") && os.Geteuid() != 0 {
		sites = []string{} // only root mounts: an ordinary pool in its place
	}
	p := up(t, lab.Options{Sites: sites, MaxSlotWALKeepSize: "1GB"})
	p.claimFindings(sites)

	since := time.Now()
	old := p.Primary()
	lost, err := p.Diverge(p.Ctx, old, 3)
	p.Must(err)
	p.Must(p.KillNode(p.Ctx, old))
	p.NewPrimary(old)
	if code := refused(sites).diverged; code != "" {
		p.Code(old, code)
		return
	}
	p.Whole("the diverged node", since)
	p.Vaulted(old, lost)
	p.Equal()
	p.claimNothingNew(sites)

	since = time.Now()
	standby := p.Standbys()[0]
	p.Wipe(standby)
	if code := refused(sites).wiped; code != "" {
		p.Code(standby, code)
		return
	}
	p.Whole("the standby without a directory", since)
	p.HealedBy(standby, since, topology.MethodBaseBackup)
	p.Equal()
	p.claimNothingNew(sites)
}

func refused(sites []string) struct{ diverged, wiped codes.Code } {
	for _, s := range sites {
		if r, ok := wantRefused[s]; ok {
			return r
		}
	}
	return struct{ diverged, wiped codes.Code }{}
}

// claimFindings claims that check finds what is wrong with the sites and nothing else.
func (p *pool) claimFindings(sites []string) {
	p.T.Helper()
	if got, want := p.findings(), expected(sites); !slices.Equal(got, want) {
		p.T.Errorf("check finds %v, want %v", got, want)
	}
}

// claimNothingNew is claimFindings for later: repool spells a host as pgpool.conf does when it repoints a standby.
func (p *pool) claimNothingNew(sites []string) {
	p.T.Helper()
	for _, f := range p.findings() {
		if !slices.Contains(expected(sites), f) {
			p.T.Errorf("check finds what is not wrong: %s", f)
		}
	}
}

func expected(sites []string) []string {
	out := []string{}
	for _, s := range sites {
		for id, subjects := range wantFindings[s] {
			for _, subject := range subjects {
				out = append(out, id+" "+subject)
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// findings are what check does not find in order, by id and subject.
func (p *pool) findings() []string {
	p.T.Helper()
	out, err := p.Repool(p.Ctx, "check", "--json")
	var rep check.Report
	if jerr := json.NewDecoder(strings.NewReader(out)).Decode(&rep); jerr != nil {
		p.T.Fatalf("check: %v, %v\n%s", err, jerr, out)
	}
	got := []string{}
	for _, f := range rep.Findings {
		if f.Severity != check.OK {
			got = append(got, f.ID+" "+f.Subject)
		}
	}
	slices.Sort(got)
	return got
}
