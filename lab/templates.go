package lab

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync"
)

// Templates keeps data directories as initdb and the creation of the roles left them, so that a suite of many pools
// runs both once for each kind of pool. Pools made from one template share its system identifier, and all pools of one
// Templates have the same passwords. It may be used by several goroutines.
type Templates struct {
	dir       string
	passwords map[string]string

	mu   sync.Mutex
	made map[string]*template // by kind
}

// template is the directory for one kind of pool. dir is empty until a pool of that kind was made.
type template struct {
	mu  sync.Mutex
	dir string
}

// NewTemplates makes an empty collection in a temporary directory. The caller closes it.
func NewTemplates() (*Templates, error) {
	own, err := findOwner()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "repool-templates-")
	if err != nil {
		return nil, fmt.Errorf("make a directory for templates: %w", err)
	}
	return &Templates{dir: dir, passwords: newPasswords(), made: map[string]*template{}}, own.give(dir)
}

// Close removes all templates. No lab may be coming up.
func (t *Templates) Close() error { return os.RemoveAll(t.dir) }

// kind names everything that shapes the directory which makeCluster leaves.
func (l *Lab) kind() (string, error) {
	b, err := json.Marshal([]any{l.BinDir, l.opts.Layout, l.opts.Sites, l.opts.Checksums, l.opts.NoWALLogHints,
		l.opts.Recovery, l.opts.Settings, l.opts.NodeSettings[0]})
	return string(b), err
}

// fill makes the data directory of l's first node. create is called only for the first lab of a kind.
func (t *Templates) fill(ctx context.Context, l *Lab, create func(context.Context) error) error {
	kind, err := l.kind()
	if err != nil {
		return fmt.Errorf("choose a template: %w", err)
	}
	t.mu.Lock()
	k := t.made[kind]
	if k == nil {
		k = &template{}
		t.made[kind] = k
	}
	place := filepath.Join(t.dir, strconv.Itoa(len(t.made)))
	t.mu.Unlock()

	k.mu.Lock()
	defer k.mu.Unlock()
	data := l.Nodes[0].DataDir
	if k.dir != "" {
		return l.copyDir(ctx, k.dir, data)
	}
	if err := create(ctx); err != nil {
		return err
	}
	if err := l.copyDir(ctx, data, place); err != nil {
		return err
	}
	k.dir = place
	return nil
}

// copyDir copies a data directory whose server is down. It shares blocks where the file system can.
func (l *Lab) copyDir(ctx context.Context, from, to string) error {
	_, err := l.run(ctx, "cp", "-a", "--reflink=auto", from+"/.", to)
	return err
}
