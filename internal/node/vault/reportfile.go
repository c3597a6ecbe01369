package vault

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
)

// reportFile writes a Report without holding its commits in memory, one to a line.
type reportFile struct {
	f *os.File
	w *bufio.Writer
	// spare says whether there is still room; nil: not asked.
	spare   func() error
	commits int
	err     error // the first one; nothing is written after it
}

// spareEvery is after how many commits spare is asked.
const spareEvery = 1 << 16

func createReport(path string, head ReportHead) (*reportFile, error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o400)
	if err != nil {
		return nil, fmt.Errorf("write to the vault: %w", err)
	}
	r := &reportFile{f: f, w: bufio.NewWriterSize(f, 1<<20)}
	text, err := json.Marshal(head)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("write %s: %w", path, err), f.Close())
	}
	r.write(text[:len(text)-1], []byte(",\n\"commits\": ["))
	return r, nil
}

func (r *reportFile) write(parts ...[]byte) {
	for _, b := range parts {
		if r.err == nil {
			_, r.err = r.w.Write(b)
		}
	}
}

// add writes one commit.
func (r *reportFile) add(c Commit) error {
	text, err := json.Marshal(c)
	if err != nil {
		return err
	}
	sep := ",\n"
	if r.commits == 0 {
		sep = "\n"
	}
	r.commits++
	r.write([]byte(sep), text)
	if r.err == nil && r.spare != nil && r.commits%spareEvery == 0 {
		r.err = r.spare()
	}
	return r.err
}

// finish writes the rest, durably.
func (r *reportFile) finish(tail ReportTail) error {
	text, err := json.Marshal(tail)
	if err != nil {
		return fmt.Errorf("write %s: %w", r.f.Name(), err)
	}
	r.write([]byte("\n],\n"), text[1:], []byte("\n"))
	if r.err == nil {
		r.err = r.w.Flush()
	}
	if r.err == nil {
		r.err = r.f.Sync()
	}
	if r.err != nil {
		return fmt.Errorf("write to the vault: %w", r.err)
	}
	return nil
}

// abandon closes the file, finished or not.
func (r *reportFile) abandon() { r.f.Close() }
