package pgdata

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/repool/repool/internal/core/topology"
)

// order is the byte order of every binary file here: PostgreSQL writes its
// structures as they are laid out in memory.
var order = binary.NativeEndian

// CorruptError says that a file of the data directory is not what PostgreSQL
// would have written there. Nothing may be concluded from such a file.
type CorruptError struct {
	File  string // path as opened
	Field string // the part that is wrong, empty when it is the whole file
	Msg   string
}

// Error names file, field and what is wrong.
func (e *CorruptError) Error() string {
	if e.Field == "" {
		return fmt.Sprintf("%s: %s", e.File, e.Msg)
	}
	return fmt.Sprintf("%s: %s: %s", e.File, e.Field, e.Msg)
}

// ErrNoSegment is wrapped by a WALError when the segment asked for is not in
// the directory: not yet written, or already recycled. Which of the two it is
// the caller must know from elsewhere.
var ErrNoSegment = errors.New("no such WAL segment in the directory")

// ErrGap is wrapped by a WALError when WAL stops and goes on later: a segment
// or a record in between is missing or damaged, so that the end found is not
// the true one and nothing may be concluded from it.
var ErrGap = errors.New("WAL goes on after a gap")

// WALError says where reading WAL stopped and why. Without a wrapped error it
// is the usual end: there is no valid record at LSN.
type WALError struct {
	File string // base name of the segment
	LSN  topology.LSN
	Msg  string
	Err  error // ErrNoSegment, ErrGap, a file error, or nil
}

// Error names segment, position and reason.
func (e *WALError) Error() string {
	s := fmt.Sprintf("WAL at %s (segment %s): %s", e.LSN, e.File, e.Msg)
	if e.Err != nil && !errors.Is(e.Err, ErrNoSegment) && !errors.Is(e.Err, ErrGap) {
		s += ": " + e.Err.Error()
	}
	return s
}

// Unwrap gives ErrNoSegment or the file error, if any.
func (e *WALError) Unwrap() error { return e.Err }

// endOfWAL says whether err means "no more valid WAL here", as opposed to a
// file that could not be read.
func endOfWAL(err error) bool {
	var we *WALError
	return errors.As(err, &we) && (we.Err == nil || errors.Is(we.Err, ErrNoSegment))
}
