package scenarios

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	"github.com/repool/repool/internal/codes"
	"github.com/repool/repool/lab"
	"github.com/repool/repool/test/fakes/browsertest"
)

// S21: a person acts on the page of a real pool. A standby that is detached
// there stays so until it is attached there, through the gate; the primary is
// never detached, since that would be a failover (P1, P9).
func TestS21PersonActsOnThePage(t *testing.T) {
	const password = "correct horse battery"
	hash, err := bcrypt.GenerateFromPassword([]byte(password), 10)
	if err != nil {
		t.Fatal(err)
	}
	p := up(t, lab.Options{Standbys: 2, Web: true, RepoolConfig: fmt.Sprintf("page: {password_hash: %q}\n", hash)})
	b := browsertest.Open(t)
	b.Look(1180, 900, false)
	url := "http://" + p.WebAddr
	b.Go(url + "/login")
	b.Keys("input[name=name]", "ann")
	b.Keys("input[name=password]", password+"\r")
	b.Until(`location.pathname === "/act"`)
	act := func(do string, node int, says string) {
		t.Helper()
		b.Go(fmt.Sprintf("%s/act/%s?node=%d", url, do, node))
		if do == "detach" {
			b.Keys("input[name=why]", "a test")
		}
		b.Keys("form.sheet button", "\r")
		b.Until(fmt.Sprintf(`document.querySelector(".flash")?.innerText.startsWith(%q)`, says))
	}
	primary, standby := p.Primary(), p.Standbys()[0]

	act("detach", primary, "Not done (is-primary)")
	act("detach", standby, "Detach requested")
	p.Code(standby, codes.OnHold)
	p.Wait("the standby to be detached", func(ctx anyContext) error {
		for _, s := range p.Lab.Status(ctx) {
			if s.ID == standby && s.Attached {
				return errors.New("it is attached")
			}
		}
		return nil
	})
	since := time.Now()
	p.Wait("it stays so", func(anyContext) error { return p.passes(since, 5) })
	p.Must(p.detachedStill(standby))

	act("attach", standby, "Attach requested")
	p.Whole("attached by hand", since)
	if now := p.Primary(); now != primary {
		t.Errorf("node %d is the primary, it was node %d", now, primary)
	}
	b.Silent()

	// The commands go the same way.
	if out, err := p.act("detach", primary); err == nil || !strings.Contains(err.Error(), "is-primary") {
		t.Errorf("repool detach of the primary: %v, %s", err, out)
	}
	out, err := p.act("detach", standby, "--why", "a test", "--json")
	p.Must(err)
	if want := fmt.Sprintf(`"node": %d,`, standby); !strings.Contains(out, want) ||
		!strings.Contains(out, `"on_hold": true`) {
		t.Errorf("repool detach --json says %s", out)
	}
	p.Must(p.WaitDetached(p.Ctx, standby))
	_, err = p.act("attach", standby, "--wait")
	p.Must(err)
	p.Whole("attached by command", since)
	p.NoRuns(standby, since)
}

// act runs a command about a node.
func (p *pool) act(command string, node int, more ...string) (string, error) {
	return p.Repool(p.Ctx, append([]string{command, strconv.Itoa(node)}, more...)...)
}
