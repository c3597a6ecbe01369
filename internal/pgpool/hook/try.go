package hook

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/repool/repool/internal/config"
)

const (
	// TryWord as a hook's only argument has it prove that it could work, and do
	// nothing. To a program that does not know it, it is a wrong argument.
	TryWord = "try"
	// TryAnswer is what the hook prints when it has proven that.
	TryAnswer = "repool: this hook can be run"
)

// Try says why a hook of this user could not work; nil: it could. It looks at what a
// promotion needs, the configuration being loaded already, and changes nothing.
func Try(p *config.Pool, out io.Writer) error {
	var errs []error
	state := p.Controller.StateDir
	if err := unix.Access(state, unix.R_OK|unix.W_OK|unix.X_OK); err != nil {
		errs = append(errs, fmt.Errorf("the state directory %s cannot be used: %w", state, err))
	}
	spool := filepath.Join(state, spoolDir)
	if err := unix.Access(spool, unix.R_OK|unix.W_OK|unix.X_OK); err != nil && !errors.Is(err, fs.ErrNotExist) {
		errs = append(errs, fmt.Errorf("the spool %s cannot be used: %w", spool, err))
	}
	files := []string{p.Database.Passfile, p.PCP.Passfile}
	if p.TLS.Set() {
		files = append(files, p.TLS.CA, p.TLS.Cert, p.TLS.Key)
	}
	for _, path := range files {
		if path == "" {
			continue
		}
		f, err := os.Open(path)
		if err == nil {
			err = f.Close()
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	_, err := fmt.Fprintln(out, TryAnswer)
	return err
}
