package agent

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/repool/repool/internal/agentapi"
	"github.com/repool/repool/internal/journal"
	"github.com/repool/repool/internal/topology"
)

// tokens counts the rights to change this node, on disk, so that no number is
// ever given twice (P6). Reading and writing happen under the node's lock.
type tokens struct {
	path string
}

// grant is the newest token given out.
type grant struct {
	Token  topology.Token `json:"token"`
	Holder string         `json:"holder"`
	At     time.Time      `json:"at"`
}

func newTokens(workshop string) *tokens {
	return &tokens{path: filepath.Join(workshop, "tokens.json")}
}

// read gives the newest grant; the zero value when none was ever given.
func (t *tokens) read() (grant, error) {
	data, err := os.ReadFile(t.path)
	if errors.Is(err, fs.ErrNotExist) {
		return grant{}, nil
	}
	var g grant
	if err == nil {
		err = json.Unmarshal(data, &g)
	}
	if err != nil {
		return grant{}, fmt.Errorf("read the token counter %s: %w; stop every controller, then remove the file", t.path, err)
	}
	return g, nil
}

// next gives holder the next token; it is on disk before it is given.
func (t *tokens) next(holder string) (topology.Token, error) {
	g, err := t.read()
	if err != nil {
		return 0, err
	}
	g = grant{Token: g.Token + 1, Holder: holder, At: time.Now()}
	data, err := json.Marshal(g)
	if err != nil {
		return 0, fmt.Errorf("count tokens: %w", err)
	}
	if err := journal.WriteFile(t.path, append(data, '\n'), 0o600); err != nil {
		return 0, fmt.Errorf("count tokens: %w", err)
	}
	return g.Token, nil
}

// check accepts only the newest token.
func (t *tokens) check(token topology.Token) (grant, error) {
	g, err := t.read()
	switch {
	case err != nil:
		return grant{}, err
	case token < g.Token || token == 0:
		return grant{}, fmt.Errorf("token %d, the newest is %d: %w", token, g.Token, agentapi.ErrStaleToken)
	case token > g.Token:
		return grant{}, fmt.Errorf("token %d was never given out, the newest is %d: %w", token, g.Token, agentapi.ErrRefused)
	}
	return g, nil
}
