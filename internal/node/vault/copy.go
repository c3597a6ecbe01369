package vault

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync/atomic"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"github.com/repool/repool/internal/core/topology"
)

// manifest says what is in an entry.
type manifest struct {
	Version     int                 `json:"version"`
	Entry       topology.VaultEntry `json:"entry"`
	SegmentSize uint64              `json:"segment_size"`
	History     topology.History    `json:"history"`
	State       string              `json:"state"` // of the control file, with its last checkpoint
	Checkpoint  topology.LSN        `json:"checkpoint"`
	Redo        topology.LSN        `json:"redo"`
	Files       []keptFile          `json:"files"`
}

// keptFile is one file of an entry.
type keptFile struct {
	Name   string `json:"name"`
	Size   uint64 `json:"size"`
	SHA256 string `json:"sha256"`
}

// copyAll copies every file, side by side. What it returns to disk is on its
// way there: durable makes sure of it.
func (k *keeper) copyAll(ctx context.Context) ([]keptFile, error) {
	kept := make([]keptFile, len(k.files))
	var done atomic.Uint64
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(copiers)
	for i, s := range k.files {
		g.Go(func() error {
			if err := context.Cause(ctx); err != nil {
				return err
			}
			sum, n, err := copyHashed(s.path, filepath.Join(k.tmp, s.name))
			if err != nil {
				return err
			}
			kept[i] = keptFile{Name: s.name, Size: n, SHA256: sum}
			if now := done.Add(n); k.Progress != nil {
				k.Progress(now, k.total)
			}
			return nil
		})
	}
	return kept, g.Wait()
}

// copiers work side by side: one computes checksums while another writes.
const copiers = 2

// durable waits until every copied file is on disk.
func (k *keeper) durable() error {
	for _, s := range k.files {
		if err := syncFile(filepath.Join(k.tmp, s.name)); err != nil {
			return fmt.Errorf("make the vault durable: %w", err)
		}
	}
	return nil
}

// syncFile waits until a closed file's content is on disk. An error of writing
// it back earlier is reported here (Linux since 4.17).
func syncFile(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// copyHashed copies one file and starts writing it to disk.
func copyHashed(src, dst string) (sha string, n uint64, err error) {
	in, err := os.Open(src)
	if err != nil {
		return "", 0, fmt.Errorf("copy to the vault: %w", err)
	}
	defer in.Close()
	out, err := os.OpenFile(dst, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o400)
	if err != nil {
		return "", 0, fmt.Errorf("copy to the vault: %w", err)
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	sum := sha256.New()
	written, err := io.CopyBuffer(struct{ io.Writer }{io.MultiWriter(out, sum)}, struct{ io.Reader }{in},
		make([]byte, 1<<20))
	if err != nil {
		return "", 0, fmt.Errorf("copy %s to the vault: %w", src, err)
	}
	// Only a hint to begin now; the sync that counts comes later.
	_ = unix.SyncFileRange(int(out.Fd()), 0, 0, unix.SYNC_FILE_RANGE_WRITE)
	return hex.EncodeToString(sum.Sum(nil)), uint64(written), nil
}

// writeJSON writes a file of an entry that has no name yet, durably.
func writeJSON(path string, v any) (err error) {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o400)
	if err != nil {
		return fmt.Errorf("write to the vault: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if _, err := f.Write(append(b, '\n')); err != nil {
		return fmt.Errorf("write to the vault: %w", err)
	}
	if err := f.Sync(); err != nil {
		return fmt.Errorf("write to the vault: %w", err)
	}
	return nil
}
