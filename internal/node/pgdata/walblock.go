package pgdata

import "fmt"

// RelFile names the files of a relation, as pg_relation_filenode and the
// directory layout do. It is not the relation's OID: a rewrite (TRUNCATE,
// VACUUM FULL) gives a relation a new one.
type RelFile struct {
	Tablespace uint32 `json:"tablespace"`
	Database   uint32 `json:"database"`
	Relation   uint32 `json:"relation"`
}

// String prints "tablespace/database/relation", as pg_waldump does.
func (r RelFile) String() string {
	return fmt.Sprintf("%d/%d/%d", r.Tablespace, r.Database, r.Relation)
}

// firstUserOID is where numbers of objects that users made begin.
const firstUserOID = 16384

// User says whether the files are a user's: every number that initdb gave is
// lower. A system catalog that was rewritten later counts as a user's.
func (r RelFile) User() bool { return r.Relation >= firstUserOID }

// Forks of a relation that a block can belong to.
const (
	ForkMain       = 0
	ForkFreeSpace  = 1
	ForkVisibility = 2
	ForkInit       = 3
)

// Block is a reference of a record to one block of a relation.
type Block struct {
	ID       uint8
	Rel      RelFile
	Fork     uint8
	Number   uint32
	HasImage bool
	// ApplyImage: replay restores the whole page from the image.
	ApplyImage bool
	// InitPage: replay initialises the page.
	InitPage bool
	// Data is the part of the record that belongs to this block.
	Data []byte

	imageLen, dataLen int
}

// Decoded is a record taken apart.
type Decoded struct {
	Blocks []Block
	// Main is the part that belongs to no block.
	Main []byte
	// Origin is the replication origin; TopXID the transaction that the
	// record's own (sub)transaction is part of, where wal_level is logical.
	Origin uint16
	TopXID uint32
}

// Block returns the reference with that id, or nil.
func (d *Decoded) Block(id uint8) *Block {
	for i := range d.Blocks {
		if d.Blocks[i].ID == id {
			return &d.Blocks[i]
		}
	}
	return nil
}

// Ids of record parts other than block references.
const (
	maxBlockID  = 32
	partTopXID  = 252
	partOrigin  = 253
	partLong    = 254
	partShort   = 255
	blockFork   = 0x0F
	blockImage  = 0x10
	blockData   = 0x20
	blockInit   = 0x40
	blockSame   = 0x80
	imageHole   = 0x01
	imagePacked = 0x02 // until 14: compressed; since 15: apply
	imageApply  = 0x04 // until 14
	imagePack15 = 0x1C // since 15: pglz, lz4, zstd
)

// Decode takes the record apart: block references, their data and the main
// data. The checksum was already right, so an error means a layout that this
// package does not know.
func (r Record) Decode() (Decoded, error) {
	d, err := decodeParts(r.raw, r.major)
	if err != nil {
		return Decoded{}, &WALError{File: r.file, LSN: r.Start, Msg: "take record apart (" + r.Desc() + "): " + err.Error()}
	}
	return d, nil
}

// decodeParts is Decode on the bytes of a whole record of that major version.
func decodeParts(raw []byte, major int) (Decoded, error) {
	if len(raw) < recordHeader {
		return Decoded{}, fmt.Errorf("it has only %d bytes", len(raw))
	}
	var d Decoded
	in, mainLen, payload := cursor{b: raw[recordHeader:]}, 0, 0
	for sized := false; !sized && in.err == nil && len(in.b) > payload; {
		switch id := in.u8(); {
		case id == partShort:
			mainLen, sized = int(in.u8()), true
		case id == partLong:
			mainLen, sized = int(in.u32()), true
		case id == partOrigin:
			d.Origin = in.u16()
		case id == partTopXID:
			d.TopXID = in.u32()
		case id <= maxBlockID:
			b := blockHeader(&in, id, d.Blocks, major)
			payload += b.imageLen + b.dataLen
			d.Blocks = append(d.Blocks, b)
		default:
			return Decoded{}, fmt.Errorf("unknown part %d", id)
		}
	}
	if in.err == nil && payload+mainLen != len(in.b) {
		return Decoded{}, fmt.Errorf("its parts have %d bytes, it has %d", payload+mainLen, len(in.b))
	}
	for i := range d.Blocks {
		in.take(d.Blocks[i].imageLen)
		d.Blocks[i].Data = in.take(d.Blocks[i].dataLen)
	}
	d.Main = in.take(mainLen)
	return d, in.err
}

// blockHeader reads one block reference after its id; before are those already
// read, since a reference may say "the relation of the one before".
func blockHeader(in *cursor, id uint8, before []Block, major int) Block {
	flags := in.u8()
	b := Block{ID: id, Fork: flags & blockFork, InitPage: flags&blockInit != 0, HasImage: flags&blockImage != 0}
	b.dataLen = int(in.u16())
	if flags&blockData == 0 && b.dataLen != 0 {
		in.fail("block %d has data it does not announce", id)
	}
	if b.HasImage {
		b.imageLen = int(in.u16())
		in.u16() // where the hole in the page is
		info := in.u8()
		packed, apply := info&imagePacked != 0, info&imageApply != 0
		if major >= 15 {
			packed, apply = info&imagePack15 != 0, info&imagePacked != 0
		}
		if b.ApplyImage = apply; packed && info&imageHole != 0 {
			in.u16() // length of the hole
		}
	}
	switch {
	case flags&blockSame == 0:
		b.Rel = RelFile{Tablespace: in.u32(), Database: in.u32(), Relation: in.u32()}
	case len(before) > 0:
		b.Rel = before[len(before)-1].Rel
	default:
		in.fail("block %d names the relation before it, but there is none", id)
	}
	b.Number = in.u32()
	return b
}

// cursor reads fields from the front of b. After the first failure every read
// gives zero and err stays.
type cursor struct {
	b   []byte
	err error
}

func (c *cursor) fail(format string, args ...any) {
	if c.err == nil {
		c.err = fmt.Errorf(format, args...)
	}
}

func (c *cursor) take(n int) []byte {
	if c.err != nil {
		return nil
	}
	if n < 0 || n > len(c.b) {
		c.fail("it is cut short: %d bytes wanted, %d left", n, len(c.b))
		return nil
	}
	out := c.b[:n:n]
	c.b = c.b[n:]
	return out
}

func (c *cursor) u8() uint8 {
	if b := c.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (c *cursor) u16() uint16 {
	if b := c.take(2); b != nil {
		return order.Uint16(b)
	}
	return 0
}

func (c *cursor) u32() uint32 {
	if b := c.take(4); b != nil {
		return order.Uint32(b)
	}
	return 0
}

func (c *cursor) u64() uint64 {
	if b := c.take(8); b != nil {
		return order.Uint64(b)
	}
	return 0
}
