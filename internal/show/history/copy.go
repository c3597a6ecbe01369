package history

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/google/renameio/v2"

	"github.com/repool/repool/internal/show/event"
)

// HoldsFile is the second copy of the holds in the state directory.
const HoldsFile = "holds.json"

// Copy is one value in a small file of its own beside the store, safe from the store's
// damage. Its content must not be lost with the store: a hold is a person's "do not
// touch". Make it with CopyAt.
type Copy struct{ path string }

// CopyAt names the file; nothing is opened yet.
func CopyAt(dir, name string) Copy { return Copy{filepath.Join(dir, name)} }

// sealed is the file: a value, and the checksum that reveals damage.
type sealed struct {
	Value  json.RawMessage `json:"value"`
	SHA256 string          `json:"sha256"` // of the value without white space
}

// Save replaces the file. After a crash at any line, either the previous value or this
// one is there, complete.
func (c Copy) Save(value any) error {
	raw, err := json.Marshal(value)
	if err != nil {
		return fmt.Errorf("write %s: %w", c.path, err)
	}
	b, err := json.MarshalIndent(sealed{raw, sumOf(raw)}, "", "  ")
	if err != nil {
		return fmt.Errorf("write %s: %w", c.path, err)
	}
	dir := filepath.Dir(c.path)
	if err := renameio.WriteFile(c.path, append(b, '\n'), 0o600, renameio.WithTempDir(dir),
		renameio.WithStaticPermissions(0o600)); err != nil {
		return fmt.Errorf("write %s: %w", c.path, err)
	}
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("sync %s: %w", dir, err)
	}
	return errors.Join(d.Sync(), d.Close())
}

// Load reads the value; found is false if there is no file. event.ErrGarbled: it is
// not what Save wrote, and value is untouched or meaningless.
func (c Copy) Load(value any) (found bool, err error) {
	b, err := os.ReadFile(c.path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	var s sealed
	if err == nil {
		err = json.Unmarshal(b, &s)
	}
	var flat bytes.Buffer
	if err == nil {
		err = json.Compact(&flat, s.Value)
	}
	if err == nil && sumOf(flat.Bytes()) != s.SHA256 {
		err = errors.New("content and checksum differ")
	}
	if err == nil {
		err = json.Unmarshal(s.Value, value)
	}
	if err != nil {
		return false, fmt.Errorf("read %s: %w: %w", c.path, event.ErrGarbled, err)
	}
	return true, nil
}

func sumOf(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}
