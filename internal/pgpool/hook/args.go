package hook

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/repool/repool/internal/config"
	"github.com/repool/repool/internal/core/topology"
)

// The two orders of arguments in use, as Pgpool-II's placeholder letters. A
// command may also end earlier: older versions had fewer placeholders.
const (
	olderOrder    = "dHPRrpDmMhPr" // of the older script set
	upstreamOrder = "dhpDmHMPrRNS" // of Pgpool-II's own samples
)

// keyNames are the words for each letter in the key=value form.
var keyNames = map[string]byte{
	"node": 'd', "host": 'h', "port": 'p', "dir": 'D',
	"new-main": 'm', "new-main-host": 'H', "new-main-port": 'r', "new-main-dir": 'R',
	"old-main": 'M', "old-primary": 'P', "old-primary-host": 'N', "old-primary-port": 'S',
}

// KeyValueForm is the form to recommend in pgpool.conf: node numbers are never
// empty, and never need quotes.
const KeyValueForm = "node=%d old-primary=%P new-main=%m"

// ErrArguments is wrapped by what ParseArgs returns when the arguments do not
// fit, or fit in two ways.
var ErrArguments = errors.New("arguments not understood; write the command in pgpool.conf with " + KeyValueForm)

// ParseArgs reads what Pgpool-II passed. Both orders in use have twelve
// arguments, so they are told apart by what stands where: numbers, ports and
// directories by their form, and hosts, ports and directories by the pool's
// nodes. A directory that is empty and unquoted vanishes and shifts what
// follows; that is recognized, too. What fits in two ways that mean different
// nodes is an error.
func ParseArgs(kind Kind, args []string, nodes []config.NodeConf) (Event, error) {
	if len(args) == 0 {
		return Event{}, fmt.Errorf("%w: there are none", ErrArguments)
	}
	if _, _, ok := strings.Cut(args[0], "="); ok {
		return parseKeyValue(kind, args, nodes)
	}
	var best []reading
	for _, order := range []string{upstreamOrder, olderOrder} {
		for _, letters := range layouts(order, len(args), kind) {
			r, err := read(kind, letters, args, nodes)
			if err != nil {
				continue
			}
			if len(best) > 0 && r.strange < best[0].strange {
				best = best[:0]
			}
			if len(best) == 0 || r.strange == best[0].strange {
				best = append(best, r)
			}
		}
	}
	if len(best) == 0 {
		return Event{}, fmt.Errorf("%w: %d arguments, %q", ErrArguments, len(args), args)
	}
	for _, r := range best[1:] {
		if !best[0].same(r) {
			return Event{}, fmt.Errorf("%w: they can be read as %%%s and as %%%s", ErrArguments,
				spread(best[0].letters), spread(r.letters))
		}
	}
	return best[0].event, nil
}

// layouts lists what n arguments of that order can be: the order cut short, or
// with one or both directories gone.
func layouts(order string, n int, kind Kind) []string {
	var out []string
	for _, gone := range []string{"", "D", "R", "DR"} {
		rest := strings.Map(func(r rune) rune {
			if strings.ContainsRune(gone, r) {
				return -1
			}
			return r
		}, order)
		if n > len(rest) {
			continue
		}
		letters := rest[:n]
		// Without %P a failover cannot be told from a standby's failure.
		if kind == KindFailover && !strings.Contains(letters, "P") {
			continue
		}
		if !slices.Contains(out, letters) {
			out = append(out, letters)
		}
	}
	return out
}

// reading is one way to understand the arguments.
type reading struct {
	letters string
	event   Event
	strange int // how many hosts, ports and directories are not as in pgpool.conf
}

// same says whether two readings mean the same nodes.
func (r reading) same(o reading) bool {
	return r.event.Failed == o.event.Failed && r.event.NewMain == o.event.NewMain &&
		r.event.OldPrimary == o.event.OldPrimary
}

func read(kind Kind, letters string, args []string, nodes []config.NodeConf) (reading, error) {
	values := map[byte]string{}
	for i := range letters {
		c, v := letters[i], args[i]
		if before, twice := values[c]; twice && before != v {
			return reading{}, fmt.Errorf("%%%c is both %q and %q", c, before, v)
		}
		values[c] = v
	}
	e, err := event(kind, values, nodes)
	if err != nil {
		return reading{}, err
	}
	return reading{letters: letters, event: e, strange: strange(e, values, nodes)}, nil
}

// event makes an Event of the placeholders' values.
func event(kind Kind, values map[byte]string, nodes []config.NodeConf) (Event, error) {
	e := Event{Kind: kind}
	var errs []error
	id := func(c byte, to *topology.NodeID) {
		v, given := values[c]
		*to = topology.NoNode
		if !given || v == "" && c != 'd' {
			return
		}
		n, err := strconv.Atoi(v)
		known := slices.ContainsFunc(nodes, func(n2 config.NodeConf) bool { return int(n2.ID) == n })
		if err != nil || !known && (n != -1 || c == 'd') {
			errs = append(errs, fmt.Errorf("%%%c is %q, which is no node of the pool", c, v))
			return
		}
		*to = topology.NodeID(n)
	}
	port := func(c byte, to *int) {
		v := values[c]
		if v == "" {
			return
		}
		n, err := strconv.ParseUint(v, 10, 16)
		if err != nil || n == 0 {
			errs = append(errs, fmt.Errorf("%%%c is %q, which is no port", c, v))
		}
		*to = int(n)
	}
	dir := func(c byte, to *string) {
		if *to = values[c]; *to != "" && (*to)[0] != '/' {
			errs = append(errs, fmt.Errorf("%%%c is %q, which is no directory", c, *to))
		}
	}
	host := func(c byte, to *string) {
		*to = values[c]
		if _, err := strconv.Atoi(*to); err == nil || strings.ContainsAny(*to, " \t\n=") {
			errs = append(errs, fmt.Errorf("%%%c is %q, which is no host", c, *to))
		}
	}
	id('d', &e.Failed)
	id('m', &e.NewMain)
	id('M', &e.OldMain)
	id('P', &e.OldPrimary)
	host('h', &e.FailedAt.Host)
	port('p', &e.FailedAt.Port)
	dir('D', &e.FailedAt.Dir)
	host('H', &e.NewMainAt.Host)
	port('r', &e.NewMainAt.Port)
	dir('R', &e.NewMainAt.Dir)
	host('N', &e.OldPrimaryAt.Host)
	port('S', &e.OldPrimaryAt.Port)
	return e, errors.Join(errs...)
}

// strange counts what does not agree with the pool's nodes. It need not be
// nothing: Pgpool-II keeps a node's old host and port until it is restarted.
func strange(e Event, values map[byte]string, nodes []config.NodeConf) int {
	count := 0
	check := func(id topology.NodeID, at Place, host, port, dir byte) {
		want := Place{}
		for _, n := range nodes {
			if n.ID == id {
				want = Place{Host: n.Host, Port: n.Port, Dir: n.DataDir}
			}
		}
		if _, given := values[host]; given && at.Host != want.Host {
			count++
		}
		if _, given := values[port]; given && at.Port != want.Port {
			count++
		}
		if _, given := values[dir]; given && strings.TrimRight(at.Dir, "/") != strings.TrimRight(want.Dir, "/") {
			count++
		}
	}
	check(e.Failed, e.FailedAt, 'h', 'p', 'D')
	check(e.NewMain, e.NewMainAt, 'H', 'r', 'R')
	check(e.OldPrimary, e.OldPrimaryAt, 'N', 'S', 0)
	return count
}

func parseKeyValue(kind Kind, args []string, nodes []config.NodeConf) (Event, error) {
	values := map[byte]string{}
	for _, a := range args {
		key, v, ok := strings.Cut(a, "=")
		c, known := keyNames[strings.ReplaceAll(key, "_", "-")]
		if !known && len(key) == 1 && strings.Contains(upstreamOrder, key) {
			c, known = key[0], true
		}
		switch _, twice := values[c]; {
		case !ok || !known:
			return Event{}, fmt.Errorf("%w: %q is no key=value of a hook", ErrArguments, a)
		case twice:
			return Event{}, fmt.Errorf("%w: %s is given twice", ErrArguments, key)
		}
		values[c] = v
	}
	if _, ok := values['d']; !ok {
		return Event{}, fmt.Errorf("%w: node=%%d is missing", ErrArguments)
	}
	if _, ok := values['P']; !ok && kind == KindFailover {
		return Event{}, fmt.Errorf("%w: old-primary=%%P is missing", ErrArguments)
	}
	e, err := event(kind, values, nodes)
	if err != nil {
		return Event{}, fmt.Errorf("%w: %w", ErrArguments, err)
	}
	return e, nil
}

// spread is "d h p" with a percent sign before each, but for the first.
func spread(letters string) string { return strings.Join(strings.Split(letters, ""), " %") }
