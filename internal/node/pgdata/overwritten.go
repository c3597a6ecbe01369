package pgdata

import (
	"bytes"
	"errors"
)

// CheckpointBody is the first 72 bytes of a checkpoint record's body (struct
// CheckPoint of PostgreSQL 13–18), as the record has them or the control file's
// copy of it.
type CheckpointBody [72]byte

// same compares two copies of one checkpoint. The next transaction id is left
// out: replay of a shutdown checkpoint moves it forward in the control file's copy
// before the copy itself is replaced (xlog_redo).
func (b CheckpointBody) same(o CheckpointBody) bool {
	const redoAndTimelines, wordsFrom = 16, 32 // between them: flags, and the next transaction id
	return bytes.Equal(b[:redoAndTimelines], o[:redoAndTimelines]) && bytes.Equal(b[wordsFrom:], o[wordsFrom:])
}

// OtherThan says whether the WAL certainly has something else where the control
// file's checkpoint was written: another record there, another checkpoint, or a
// record that reaches over the place. A server writes the record before the control
// file, so this comes about only where other WAL was put over the old. WAL that is
// gone, that ends before the place, or that cannot be read there, says nothing.
func (w *WAL) OtherThan(c Control) (bool, error) {
	if c.CheckpointLSN == 0 || w.history.TimelineAt(c.CheckpointLSN) != c.Timeline {
		return false, nil
	}
	r, err := w.RecordAt(c.CheckpointLSN)
	if err == nil {
		cp, is := parseCheckpoint(r)
		return !is || !cp.Body.same(c.Checkpoint), nil
	}
	if !endOfWAL(err) {
		return false, notReadable(err)
	}
	look, err := w.LookAt(c.CheckpointLSN)
	if err != nil {
		return false, notReadable(err)
	}
	return look.Place == PlaceInside, nil
}

// notReadable is nil for what only means that nothing can be said.
func notReadable(err error) error {
	var stop *WALError
	if errors.As(err, &stop) && (stop.Err == nil || errors.Is(err, ErrNoSegment) || errors.Is(err, ErrGap)) {
		return nil
	}
	return err
}
