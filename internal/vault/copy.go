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

	"golang.org/x/sys/unix"

	"github.com/repool/repool/internal/topology"
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

// copyAll copies every file and makes it durable. Writing to disk begins as
// soon as a file is copied, so that the wait at the end is short.
func (k *keeper) copyAll(ctx context.Context) ([]keptFile, error) {
	var kept []keptFile
	var done uint64
	var open []*os.File
	defer func() {
		for _, f := range open {
			f.Close() // a second time after an error; both harmless
		}
	}()
	flush := func() error {
		for _, f := range open {
			if err := errors.Join(f.Sync(), f.Close()); err != nil {
				return fmt.Errorf("make the vault durable: %w", err)
			}
		}
		open = open[:0]
		return nil
	}
	buf := make([]byte, 1<<20)
	for _, s := range k.files {
		if err := context.Cause(ctx); err != nil {
			return nil, err
		}
		out, sum, n, err := copyHashed(s.path, filepath.Join(k.tmp, s.name), buf)
		if out != nil {
			open = append(open, out)
		}
		if err != nil {
			return nil, err
		}
		kept = append(kept, keptFile{Name: s.name, Size: n, SHA256: sum})
		if done += n; k.Progress != nil {
			k.Progress(done, k.total)
		}
		if len(open) >= 64 {
			if err := flush(); err != nil {
				return nil, err
			}
		}
	}
	return kept, flush()
}

// copyHashed copies one file, starts writing it to disk and gives it back open.
func copyHashed(src, dst string, buf []byte) (*os.File, string, uint64, error) {
	in, err := os.Open(src)
	if err != nil {
		return nil, "", 0, fmt.Errorf("copy to the vault: %w", err)
	}
	defer in.Close()
	out, err := os.OpenFile(dst, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o400)
	if err != nil {
		return nil, "", 0, fmt.Errorf("copy to the vault: %w", err)
	}
	sum := sha256.New()
	n, err := io.CopyBuffer(struct{ io.Writer }{io.MultiWriter(out, sum)}, struct{ io.Reader }{in}, buf)
	if err != nil {
		return out, "", 0, fmt.Errorf("copy %s to the vault: %w", src, err)
	}
	// Only a hint to begin now; the sync that counts comes later.
	_ = unix.SyncFileRange(int(out.Fd()), 0, 0, unix.SYNC_FILE_RANGE_WRITE)
	return out, hex.EncodeToString(sum.Sum(nil)), uint64(n), nil
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
