package pgdata

import (
	"fmt"
	"testing"
	"time"
)

// commitBody makes the main data of a commit record with every optional part,
// for the given version.
func commitBody(major int) []byte {
	u32 := order.AppendUint32
	b := order.AppendUint64(nil, uint64(86400*1e6+250000))
	b = u32(b, xinfoDatabase|xinfoSubxacts|xinfoRelations|xinfoInvalid|xinfoTwoPhase|xinfoGID|statsFlag(major))
	b = u32(u32(b, 5), 1663)
	b = u32(u32(u32(b, 2), 701), 702)
	b = u32(u32(u32(u32(b, 1), 1663), 5), 16400)
	if major >= 15 {
		size := 12
		if major >= 18 {
			size = 16
		}
		b = append(u32(b, 2), make([]byte, 2*size)...)
	}
	b = append(u32(b, 3), make([]byte, 3*16)...)
	b = u32(b, 700)
	return append(b, "some gid\x00"...)
}

func statsFlag(major int) uint32 {
	if major >= 15 {
		return xinfoDroppedStats
	}
	return 0
}

// blockWithImage makes the parts of a record with one block that has a packed
// page image with a hole, and one more of the same relation with data.
func blockWithImage(major int) []byte {
	u16, u32 := order.AppendUint16, order.AppendUint32
	b := u16([]byte{0, blockImage}, 0)
	info := byte(imageHole | imagePacked | imageApply) // until 14: hole, compressed, apply
	if major >= 15 {
		info = imageHole | imagePacked | 0x08 // hole, apply, lz4
	}
	b = append(u16(u16(b, 10), 100), info)
	b = u16(b, 4000) // length of the hole
	b = u32(u32(u32(u32(b, 1663), 5), 16400), 77)
	b = u16([]byte(string(b)+"\x01"+string([]byte{blockData | blockSame | blockInit})), 4)
	b = u32(b, 78)
	b = append(b, partShort, 3)
	return append(b, "imageimagedatamai"...)
}

func TestTheLayoutsOfEachVersionAreRead(t *testing.T) {
	t.Parallel()
	for major := 13; major <= 18; major++ {
		t.Run(fmt.Sprint("PostgreSQL ", major), func(t *testing.T) {
			t.Parallel()
			s := newSynth(major)
			lsn := s.record(RmgrXact, xactCommitPrepared|xactHasInfo, 0, mainData(commitBody(major)))
			image := s.record(RmgrXLOG, 0xB0, 0, blockWithImage(major))
			w := s.wal(t)
			r, err := w.RecordAt(lsn)
			if err != nil {
				t.Fatal(err)
			}
			c, ok, err := r.Commit()
			if err != nil || !ok {
				t.Fatalf("commit: got %v, %v", ok, err)
			}
			want(t, "commit", fmt.Sprintln(c.XID, c.Database, c.Tablespace, c.Subxacts, c.Dropped, c.Invalidations,
				c.Prepared, c.GID),
				"700 5 1663 [701 702] [1663/5/16400] 3 true some gid\n")
			want(t, "time", c.Time, time.Date(2000, 1, 2, 0, 0, 0, 250e6, time.UTC))
			if r, err = w.RecordAt(image); err != nil {
				t.Fatal(err)
			}
			d, err := r.Decode()
			if err != nil {
				t.Fatal(err)
			}
			one, two := d.Block(0), d.Block(1)
			want(t, "blocks", fmt.Sprint(len(d.Blocks), one.Rel, one.Number, one.HasImage, one.ApplyImage, two.Rel,
				two.Number, two.InitPage), "2 1663/5/16400 77 true true 1663/5/16400 78 true")
			want(t, "data", string(two.Data)+string(d.Main), "datamai")
		})
	}
}

func TestAnUnknownVersionOfWALIsNamed(t *testing.T) {
	t.Parallel()
	s := newSynth(15)
	s.noop(64)
	order.PutUint16(s.bytes[2*synthSeg], 0xD0FF)
	_, err := s.wal(t).EndOfWAL(2 * synthSeg)
	want(t, "error", err, "WAL at 0/200000 (segment 000000010000000000000002): unknown page magic D0FF; PostgreSQL "+
		"13–18 have D106 to D118")
}

func TestSpeculativeInsertsThatAreTakenBackDoNotCount(t *testing.T) {
	t.Parallel()
	s := newSynth(15)
	heap := func(info uint8, main []byte) {
		b := order.AppendUint16([]byte{0, 0}, 0)
		for _, n := range []uint32{1663, 5, 16400, 9} {
			b = order.AppendUint32(b, n)
		}
		s.record(RmgrHeap, info, 800, append(append(b, partShort, byte(len(main))), main...))
	}
	heap(heapInsert, []byte{1, 0, 0x04})
	heap(heapDelete, []byte{0, 0, 0, 0, 1, 0, 0, deleteIsSuper})
	heap(heapInsert, []byte{2, 0, insertOnToast})
	s.record(RmgrXact, xactCommit, 800, mainData(make([]byte, 8)))
	heap(heapInsert, []byte{3, 0, 0})
	lost, err := s.wal(t).Transactions(2*synthSeg, 0, func(Transaction) error { return nil })
	want(t, "rows", fmt.Sprint(lost.Rows, lost.Open, err), "map[1663/5/16400:{1 0 0 true}] 1 <nil>")
}
