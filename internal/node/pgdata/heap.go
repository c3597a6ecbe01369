package pgdata

// RowOp is what a record does to rows of a table.
type RowOp string

// The operations that a record of the heap can carry.
const (
	RowInsert RowOp = "insert"
	RowUpdate RowOp = "update"
	RowDelete RowOp = "delete"
)

// RowChange is one record's change to the rows of one table. A place (block
// and offset) is what ctid shows.
type RowChange struct {
	Op  RowOp
	Rel RelFile
	// Block and Offsets are the places of the new row versions (insert,
	// update), or of the row deleted.
	Block   uint32
	Offsets []uint16
	// OldBlock and OldOffset are the place of the version an update replaced.
	OldBlock  uint32
	OldOffset uint16
	// Toast: the table holds the long values of another one. PostgreSQL 13
	// does not say so and leaves it false; deletions never say so.
	Toast bool
	// Undone: a delete that takes back a speculative insert (ON CONFLICT) of
	// the same transaction. It cancels that insert.
	Undone bool
}

// Rows is how many rows the record changes.
func (c RowChange) Rows() int { return len(c.Offsets) }

// Record kinds of resource managers Heap and Heap2, without the top bit, which
// says that the page is initialised.
const (
	heapOpMask    = 0x70
	heapInitPage  = 0x80
	heapInsert    = 0x00
	heapDelete    = 0x10
	heapUpdate    = 0x20
	heapHotUpdate = 0x40
	heap2MultiIns = 0x50
	insertOnToast = 0x10
	deleteIsSuper = 0x08
)

// RowChange reads what the record does to rows. ok is false for every record
// that changes none: locks, vacuum, in-place changes, indexes.
func (r Record) RowChange() (c RowChange, ok bool, err error) {
	op := r.Info & heapOpMask
	rows := r.Rmgr == RmgrHeap && (op == heapInsert || op == heapDelete || op == heapUpdate || op == heapHotUpdate)
	multi := r.Rmgr == RmgrHeap2 && op == heap2MultiIns
	if !rows && !multi {
		return RowChange{}, false, nil
	}
	d, err := r.Decode()
	if err != nil {
		return RowChange{}, false, err
	}
	in := cursor{b: d.Main}
	block := d.Block(0)
	if block == nil {
		in.fail("it names no block")
		block = &Block{}
	}
	c.Rel, c.Block = block.Rel, block.Number
	switch {
	case multi:
		c.multiInsert(&in, r.Info&heapInitPage != 0)
	case op == heapInsert:
		c.Op, c.Offsets = RowInsert, []uint16{in.u16()}
		c.Toast = r.major >= 14 && in.u8()&insertOnToast != 0
	case op == heapDelete:
		c.Op = RowDelete
		in.u32() // xmax
		c.Offsets = []uint16{in.u16()}
		in.u8() // infomask bits
		c.Undone = in.u8()&deleteIsSuper != 0
	default:
		c.Op = RowUpdate
		in.u32() // xmax of the old version
		c.OldBlock, c.OldOffset = block.Number, in.u16()
		in.u16() // infomask bits, flags
		in.u32() // xmax of the new version
		c.Offsets = []uint16{in.u16()}
		if old := d.Block(1); old != nil {
			c.OldBlock = old.Number
		}
	}
	if in.err != nil {
		return RowChange{}, false, &WALError{LSN: r.Start, File: r.file, Msg: "read row change: " + in.err.Error()}
	}
	return c, true, nil
}

// multiInsert reads the body of a multi-insert. On an initialised page the rows
// are numbered from one and not listed.
func (c *RowChange) multiInsert(in *cursor, initPage bool) {
	c.Op = RowInsert
	flags := in.u8()
	in.u8() // padding
	n := int(in.u16())
	c.Toast = flags&insertOnToast != 0
	if !initPage && len(in.b) < 2*n {
		in.fail("%d rows announced, %d bytes left", n, len(in.b))
		return
	}
	c.Offsets = make([]uint16, n)
	for i := range c.Offsets {
		c.Offsets[i] = uint16(i + 1)
		if !initPage {
			c.Offsets[i] = in.u16()
		}
	}
}
