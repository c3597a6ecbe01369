package agent

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/node/agentapi"
	"github.com/repool/repool/internal/node/journal"
)

// Grant records who was given a token, and when.
type Grant struct {
	Token  topology.Token `json:"token"`
	Holder string         `json:"holder"`
	At     time.Time      `json:"at"`
}

// grantFile keeps the newest grant in the work directory.
type grantFile struct {
	path string
}

func newGrantFile(workDir string) *grantFile {
	return &grantFile{path: filepath.Join(workDir, "tokens.json")}
}

// Read returns the newest grant; the zero value when there has been none.
func (f *grantFile) Read() (Grant, error) {
	data, err := os.ReadFile(f.path)
	if errors.Is(err, fs.ErrNotExist) {
		return Grant{}, nil
	}
	var g Grant
	if err == nil {
		err = json.Unmarshal(data, &g)
	}
	if err != nil {
		return Grant{}, fmt.Errorf("read the token counter %s: %w; stop every controller, then remove the file", f.path, err)
	}
	return g, nil
}

// Write replaces the grant. It is durable on return.
func (f *grantFile) Write(g Grant) error {
	data, err := json.Marshal(g)
	if err == nil {
		err = journal.WriteFile(f.path, append(data, '\n'), 0o600)
	}
	return err
}

// tokens counts the tokens on disk, so that no number is given twice (P6). The
// caller of next holds the node's lock.
type tokens struct{ Grants }

// next returns the next token for holder, after it was written to disk.
func (t tokens) next(holder string) (topology.Token, error) {
	g, err := t.Read()
	if err != nil {
		return 0, err
	}
	g = Grant{Token: g.Token + 1, Holder: holder, At: time.Now()}
	if err := t.Write(g); err != nil {
		return 0, fmt.Errorf("count tokens: %w", err)
	}
	return g.Token, nil
}

// check accepts only the newest token.
func (t tokens) check(token topology.Token) (Grant, error) {
	g, err := t.Read()
	switch {
	case err != nil:
		return Grant{}, err
	case token < g.Token || token == 0:
		return Grant{}, fmt.Errorf("token %d, the newest is %d: %w", token, g.Token, agentapi.ErrStaleToken)
	case token > g.Token:
		return Grant{}, fmt.Errorf("token %d was never given out, the newest is %d: %w", token, g.Token, agentapi.ErrRefused)
	}
	return g, nil
}
