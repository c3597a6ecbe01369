package setup

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/repool/repool/internal/admin/check"
	"github.com/repool/repool/internal/core/topology"
)

// Item is one thing to do.
type Item struct {
	// ID names the kind of thing; several items may share it.
	ID      string `json:"id"`
	Subject string `json:"subject"`
	// What is one sentence.
	What string `json:"what"`
	// File is edited or created; Lines are "- old" and "+ new".
	File  string   `json:"file,omitempty"`
	Lines []string `json:"lines,omitempty"`
	// SQL are the statements, with passwords replaced by ***.
	SQL []string `json:"sql,omitempty"`
	// Manual says that Apply leaves it to a person.
	Manual bool `json:"manual,omitempty"`
	// Done and Backup are set by Apply.
	Done   bool   `json:"done,omitempty"`
	Backup string `json:"backup,omitempty"`

	do func(context.Context, *Item) error
}

// Plan is everything to do, in order.
type Plan struct {
	Items []Item `json:"items"`
	close func()
}

// ToDo counts the items that Apply does.
func (p *Plan) ToDo() int {
	n := 0
	for _, i := range p.Items {
		if !i.Manual && !i.Done {
			n++
		}
	}
	return n
}

// Close ends the connections that the plan holds.
func (p *Plan) Close() { p.close() }

// Apply does every item that is neither manual nor done, and stops at the first
// error: later items may depend on it. Running setup again does the rest.
func (p *Plan) Apply(ctx context.Context, told func(Item)) error {
	for i := range p.Items {
		item := &p.Items[i]
		if item.Manual || item.Done {
			continue
		}
		if err := item.do(ctx, item); err != nil {
			return fmt.Errorf("%s (%s): %w", item.What, item.ID, err)
		}
		item.Done = true
		told(*item)
	}
	return nil
}

// maker holds what the parts of a plan need.
type maker struct {
	o     Options
	own   owner
	facts *check.Facts
	// admin are superuser connections to the database of the role's grants.
	admin map[topology.NodeID]*pgx.Conn
	// logins are those of the database role, from before the administrator's.
	logins map[topology.NodeID]check.LoginResult
	items  []Item
	// files are the edits planned so far, by path: several parts may add to one.
	files map[string]*fileEdit
	// secrets are the known passwords of roles.
	secrets map[string]secret
	// md5 are the roles whose stored password is not a SCRAM verifier.
	md5 map[string]bool
	// settings are the changes to pgpool.conf, in order.
	settings [][2]string
	// record is what setup has done so far.
	record *record
	// reload says that Pgpool-II must reread something.
	reload bool
	// handled are the checks whose findings have an item of their own, by id, or by
	// "id subject".
	handled map[string]bool
}

// Make looks at the pool and returns what has to be done.
func Make(ctx context.Context, o Options) (*Plan, error) {
	m, err := newMaker(ctx, o)
	if err != nil {
		return nil, err
	}
	for _, part := range []func(context.Context) error{
		m.stateDir, m.roles, m.hba, m.pcpUser, m.checkUsers, m.repoolYAML, m.sshKeys, m.recovery, m.shims, m.pgpoolConf,
		m.unit,
	} {
		if err := part(ctx); err != nil {
			m.disconnect()
			return nil, err
		}
	}
	m.reloadPgpool()
	m.rest()
	return &Plan{Items: m.items, close: m.disconnect}, nil
}

// newMaker looks at the pool.
func newMaker(ctx context.Context, o Options) (*maker, error) {
	own, err := o.fill()
	if err != nil {
		return nil, err
	}
	facts, err := check.Gather(ctx, check.Options{Loaded: o.Loaded, Program: o.Program, Timeout: o.Timeout})
	if err != nil {
		return nil, err
	}
	if facts.Pool.File == "" {
		facts.Pool.File = o.ConfigFile // the one that will be written
	}
	m := &maker{o: o, own: own, facts: facts, admin: map[topology.NodeID]*pgx.Conn{}, files: map[string]*fileEdit{},
		secrets: map[string]secret{}, md5: map[string]bool{}, logins: map[topology.NodeID]check.LoginResult{},
		handled: map[string]bool{}}
	if m.record, err = readRecord(facts.Pool.File); err != nil {
		return nil, err
	}
	m.connect(ctx)
	return m, nil
}

func (m *maker) add(i Item) { m.items = append(m.items, i) }

// manual adds what a person has to do.
func (m *maker) manual(id, subject, format string, args ...any) {
	m.add(Item{ID: id, Subject: subject, What: fmt.Sprintf(format, args...), Manual: true})
}

// bad says whether a check has findings other than OK about a subject; empty: any.
func (m *maker) bad(id, subject string) bool {
	for _, f := range m.report().Findings {
		if f.ID == id && f.Severity != check.OK && (subject == "" || f.Subject == subject) {
			return true
		}
	}
	return false
}

func (m *maker) report() check.Report { return check.Run(m.facts) }

// rest adds the findings that have no item of their own.
func (m *maker) rest() {
	for _, f := range m.report().Findings {
		if f.Severity == check.OK || m.handled[f.ID] || m.handled[f.ID+" "+f.Subject] {
			continue
		}
		m.add(Item{ID: f.ID, Subject: f.Subject, What: f.Found, Lines: []string{"→ " + f.Remedy}, Manual: true})
	}
}
