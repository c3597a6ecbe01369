package view

import (
	"fmt"
	"strings"

	"github.com/repool/repool/internal/core/topology"
)

// Picture is the pool laid out: the Pgpool-IIs as a bar on top, from which a
// line goes down to each attached node and an open switch to each other; the
// nodes in the order of their ids, so that none moves when its role does; and
// below each row who streams from whom. Lines of routing are above the nodes
// and lines of streaming below, so they never cross. All numbers are pixels.
type Picture struct {
	Name    string // prefix for ids in the page
	W, H    int
	Compact bool
	Alt     string
	Bars    []Bar
	Routes  []Route
	Streams []Stream
	Cards   []Card
}

// Bar is one Pgpool-II.
type Bar struct {
	X, Y, W, H  int
	Tone        Tone
	Title, Note string
}

// Route is the line from Pgpool-II to a node. Lever is the open switch of one
// that is not attached, with Dots at its contacts. A line without a switch is drawn
// for one of which nothing is known, too: State tells them apart.
type Route struct {
	Lead, Path, Lever string // Lead: the trunk that it shares with others
	Dots              []Dot
	State             Attach
	Writes            bool // Pgpool-II sends writes here
}

// Dot is a small circle.
type Dot struct{ X, Y int }

// Stream is WAL on its way: streaming, or copied by a run.
type Stream struct {
	Path    string
	Kind    string // stream, cascade, copy
	From    topology.NodeID
	To      topology.NodeID
	Tooltip string
}

// Card is one node.
type Card struct {
	X, Y, W, H                 int
	Node                       *NodeView
	Name, Address, Line, Doing string
	Tooltip                    string
	// BarW is the width of the done part of a run's bar, of BarFull; 0 where
	// nothing is copied.
	BarX, BarY, BarW, BarFull int
}

// size is the measures of one kind of picture.
type size struct {
	cardW, cardH, gap, side, above, below, level, barH, chars int
}

var (
	full    = size{cardW: 240, cardH: 118, gap: 26, side: 26, above: 46, below: 34, level: 9, barH: 50, chars: 32}
	compact = size{cardW: 62, cardH: 40, gap: 10, side: 24, above: 26, below: 24, level: 5, barH: 50, chars: 8}
)

// fullUpTo is how many nodes are drawn with words in them.
const fullUpTo = 8

// Wide and Narrow draw v for a screen and for a phone.
func Wide(v *View) Picture {
	if len(v.Nodes) > fullUpTo {
		return Draw(v, "w", 15)
	}
	return Draw(v, "w", 4)
}

// Narrow is Wide for a phone.
func Narrow(v *View) Picture {
	if len(v.Nodes) > fullUpTo {
		return Draw(v, "n", 5)
	}
	return Draw(v, "n", 1)
}

// Draw lays v out in rows of at most that many nodes.
func Draw(v *View, name string, columns int) Picture {
	s := full
	p := Picture{Name: name, Compact: len(v.Nodes) > fullUpTo, Alt: alt(v)}
	if p.Compact {
		s = compact
	}
	columns = max(1, min(columns, len(v.Nodes)))
	rows := (len(v.Nodes) + columns - 1) / columns
	rowH := s.above + s.cardH + s.below
	p.W = 2*s.side + columns*s.cardW + (columns-1)*s.gap
	p.H = s.barH + rows*rowH
	p.bars(v, s)
	at := map[topology.NodeID]*Card{}
	for i := range v.Nodes {
		c := card(&v.Nodes[i], s, p.Compact)
		c.X, c.Y = s.side+i%columns*(s.cardW+s.gap), s.barH+i/columns*rowH+s.above
		c.BarX, c.BarY = c.X+14, c.Y+s.cardH-12
		if p.Compact {
			c.BarX, c.BarY = c.X+6, c.Y+s.cardH-7
		}
		p.Cards = append(p.Cards, c)
	}
	for i := range p.Cards {
		c := &p.Cards[i]
		at[c.Node.ID] = c
		p.Routes = append(p.Routes, p.route(c, s, i >= columns, v.WritesTo))
	}
	p.streams(v, s, at)
	return p
}

func (p *Picture) bars(v *View, s size) {
	n := len(v.Pools)
	if n == 0 {
		return
	}
	w := (p.W - 2*s.side/2 - (n-1)*8) / n
	chars := w/8 - 3
	for i, pool := range v.Pools {
		p.Bars = append(p.Bars, Bar{X: s.side/2 + i*(w+8), W: w, H: s.barH - 2, Y: 1, Tone: pool.Tone,
			Title: clip(pool.Name, chars), Note: clip(pool.Note, chars)})
	}
}

func card(n *NodeView, s size, small bool) Card {
	c := Card{W: s.cardW, H: s.cardH, Node: n, Name: "node " + n.ID.String(), Address: clip(n.Address, s.chars),
		Doing: clip(n.Doing, s.chars-2)}
	if small {
		c.Name = n.ID.String()
	}
	c.Line = n.Postgres
	if n.Lag != "" && n.Upstream != topology.NoNode {
		c.Line = fmt.Sprintf("from node %s · lag %s", n.Upstream, n.Lag)
	}
	c.Line = clip(c.Line, s.chars)
	c.Tooltip = fmt.Sprintf("node %s, %s, %s, %s: %s", n.ID, n.Address, n.Role, n.Attach, n.Doing)
	if n.Run != nil && n.Run.Total != "" {
		c.BarFull = s.cardW - 28
		if small {
			c.BarFull = s.cardW - 12
		}
		c.BarW = max(2, int(n.Run.Share*float64(c.BarFull)))
	}
	return c
}

func (c *Card) middle() int { return c.X + c.W/2 }

// route goes from the bar, for the rows below the first by a trunk at the left.
func (p *Picture) route(c *Card, s size, lower bool, writesTo topology.NodeID) Route {
	x, top := c.middle(), s.barH-1
	r := Route{State: c.Node.Attach, Writes: c.Node.ID == writesTo}
	if lower {
		rail := c.Y - s.above + 8
		r.Lead = fmt.Sprintf("M%d %dV%dQ%d %d %d %dH%d", s.side/2, top, rail-6, s.side/2, rail, s.side/2+6, rail, x)
		top = rail
	}
	if r.State == Attached || r.State == AttachUnknown {
		r.Path = fmt.Sprintf("M%d %dV%d", x, top, c.Y)
		r.Dots = []Dot{{x, c.Y}}
		return r
	}
	height := c.Y - top
	a, b := top+height/4, c.Y-height/5
	r.Path = fmt.Sprintf("M%d %dV%dM%d %dV%d", x, top, a, x, b, c.Y)
	r.Lever = fmt.Sprintf("M%d %dL%d %d", x, a, x+height/3, b-height/8)
	r.Dots = []Dot{{x, a}, {x, b}}
	return r
}

// streams go below the rows: down from the source to its row's rail, along it,
// by a trunk at the right to another row's, and up to the receiver.
func (p *Picture) streams(v *View, s size, at map[topology.NodeID]*Card) {
	levels := map[topology.NodeID]int{v.Primary: 0}
	for i := range v.Nodes {
		n := &v.Nodes[i]
		from, kind := n.Upstream, "stream"
		if n.Cascade {
			kind = "cascade"
		}
		if n.Run != nil && n.Upstream == topology.NoNode {
			from, kind = n.Run.Upstream, "copy"
		}
		src, dst := at[from], at[n.ID]
		if src == nil || dst == nil || src == dst {
			continue
		}
		if _, known := levels[from]; !known {
			levels[from] = len(levels)
		}
		st := Stream{Kind: kind, From: from, To: n.ID, Path: path(src, dst, s, levels[from]%3, p.W)}
		st.Tooltip = fmt.Sprintf("node %s streams from node %s", n.ID, from)
		if kind == "copy" {
			st.Tooltip = fmt.Sprintf("node %s is resynced from node %s: %s", n.ID, from, n.Run.Short())
		}
		p.Streams = append(p.Streams, st)
	}
}

// path has round corners, and an arrow's room below the receiver.
func path(src, dst *Card, s size, level, width int) string {
	const r = 8
	x1, x2 := src.middle()+10*level, dst.middle()
	rail1, rail2 := src.Y+src.H+s.below/2+level*s.level, dst.Y+dst.H+s.below/2+level*s.level
	end := dst.Y + dst.H + 7
	if rail1 == rail2 {
		dir := 1
		if x2 < x1 {
			dir = -1
		}
		return fmt.Sprintf("M%d %dV%dQ%d %d %d %dH%dQ%d %d %d %dV%d", x1, src.Y+src.H, rail1-r, x1, rail1, x1+dir*r, rail1,
			x2-dir*r, x2, rail1, x2, rail1-r, end)
	}
	trunk, down := width-s.side/2+3*level, 1
	if rail2 < rail1 {
		down = -1
	}
	return fmt.Sprintf("M%d %dV%dQ%d %d %d %dH%dQ%d %d %d %dV%dQ%d %d %d %dH%dQ%d %d %d %dV%d", x1, src.Y+src.H, rail1-r,
		x1, rail1, x1+r, rail1,
		trunk-r, trunk, rail1, trunk, rail1+down*r, rail2-down*r, trunk, rail2, trunk-r, rail2, x2+r, x2, rail2, x2, rail2-r,
		end)
}

// alt is the picture in words, for those who do not see it.
func alt(v *View) string {
	var b strings.Builder
	b.WriteString(v.Headline + ". ")
	if len(v.Writers) == 1 {
		fmt.Fprintf(&b, "Node %s is the primary. ", v.Primary)
	}
	if v.WritesTo != topology.NoNode {
		fmt.Fprintf(&b, "Pgpool-II sends writes to node %s. ", v.WritesTo)
	}
	by := map[string][]string{}
	for _, n := range v.Nodes {
		if n.Attach != Attached {
			by[string(n.Attach)] = append(by[string(n.Attach)], n.ID.String())
		}
		if n.Upstream != topology.NoNode {
			key := "streaming from node " + n.Upstream.String()
			by[key] = append(by[key], n.ID.String())
		}
	}
	for _, key := range sortedKeys(by) {
		fmt.Fprintf(&b, "%s: %s. ", strings.ToUpper(key[:1])+key[1:], strings.Join(by[key], ", "))
	}
	return b.String() + "The table of nodes has the same facts."
}

// clip cuts a text to n characters.
func clip(s string, n int) string {
	if r := []rune(s); len(r) > n && n > 1 {
		return strings.TrimRight(string(r[:n-1]), " ") + "…"
	}
	return s
}
