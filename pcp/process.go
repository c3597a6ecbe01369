package pcp

import (
	"context"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// ProcessInfo is one pooled connection of one Pgpool-II process, to one node. A
// process without connections has one record, with empty texts and zero times.
type ProcessInfo struct {
	PID     int
	Started time.Time
	// Sessions is how many client sessions the process has served.
	Sessions int
	// Pool is the number of the pooled connection, NodeID the node it leads to.
	Pool, NodeID   int
	Database, User string
	// NodeConnected is when the connection to the node was made.
	NodeConnected time.Time
	// ClientConnected and ClientDisconnected belong to the last client.
	ClientConnected, ClientDisconnected time.Time
	ClientIdle                          time.Duration
	// Major and Minor are the protocol version of the connection.
	Major, Minor int
	// Uses is how often the pooled connection was used.
	Uses int
	// ServerPID is the process id of the PostgreSQL session.
	ServerPID int
	// Connected says that a client is using the connection now.
	Connected bool
	// Status is "Idle", "Idle in transaction", "Execute command",
	// "Wait for connection" and the like.
	Status string
	// LoadBalanceNode is Pgpool-II's text (4.5 and later): "1" on the connection
	// to the session's load balance node.
	LoadBalanceNode string
	// ClientHost, ClientPort and Statement are sent by 4.7 and later.
	ClientHost, ClientPort, Statement string
}

// ProcessIDs asks for the processes that serve clients (process count).
func (c *Conn) ProcessIDs(ctx context.Context) ([]int, error) {
	var pids []int
	err := c.do(ctx, command{name: "process count", tag: 'N', reply: 'n'}, nil, func(payload []byte) (bool, error) {
		f, err := completed(payload)
		if err != nil {
			return false, err
		}
		pids, err = parseProcessIDs(f)
		return true, err
	})
	return pids, err
}

func parseProcessIDs(f []string) ([]int, error) {
	if len(f) == 0 {
		return nil, fmt.Errorf("%w: process count without a count", ErrProtocol)
	}
	n, err := parseCount(f[0])
	if err != nil {
		return nil, err
	}
	if n != len(f)-1 {
		return nil, fmt.Errorf("%w: process count %d with %d process ids", ErrProtocol, n, len(f)-1)
	}
	pids := make([]int, 0, n)
	for _, s := range f[1:] {
		pid, err := parseCount(s)
		if err != nil {
			return nil, err
		}
		pids = append(pids, pid)
	}
	return pids, nil
}

// Processes asks for the connections of all processes.
func (c *Conn) Processes(ctx context.Context) ([]ProcessInfo, error) {
	return c.processInfo(ctx, 0)
}

// Process asks for the connections of one process. An unknown pid is a
// *ServerError.
func (c *Conn) Process(ctx context.Context, pid int) ([]ProcessInfo, error) {
	if pid <= 0 {
		return nil, fmt.Errorf("pcp %s: process info: %d is not a process id", c.addr, pid)
	}
	return c.processInfo(ctx, pid)
}

func (c *Conn) processInfo(ctx context.Context, pid int) ([]ProcessInfo, error) {
	var list []ProcessInfo
	reply := arrayReply{kind: "ProcessInfo", upperBound: true, record: func(f []string) error {
		p, err := parseProcessInfo(f, c.loc)
		list = append(list, p)
		return err
	}}
	err := c.do(ctx, command{name: "process info", tag: 'P', reply: 'p'}, terminatedInt(pid), reply.take)
	if err != nil {
		return nil, err
	}
	return list, nil
}

const (
	processFields43 = 17 // Pgpool-II 4.3 and 4.4
	processFields45 = 18 // 4.5 and 4.6: load balance node
	processFields47 = 21 // 4.7: client host, client port, statement
)

// parseProcessInfo is for people to look at: only its length and the pid must be
// right, other numbers are zero when they are not numbers.
func parseProcessInfo(f []string, loc *time.Location) (ProcessInfo, error) {
	switch len(f) {
	case processFields43, processFields45, processFields47:
	default:
		return ProcessInfo{}, fmt.Errorf("%w: process info of %d fields; %d (Pgpool-II 4.3), %d (4.5) and %d (4.7) are known",
			ErrProtocol, len(f), processFields43, processFields45, processFields47)
	}
	var strict numbers
	p := ProcessInfo{
		PID:                strict.atMost("process id", f[0], math.MaxInt32),
		Started:            parseServerTime(f[1], loc),
		Sessions:           leadingInt(f[2]),
		Pool:               leadingInt(f[3]),
		NodeID:             leadingInt(f[4]),
		Database:           f[5],
		User:               f[6],
		NodeConnected:      parseServerTime(f[7], loc),
		ClientConnected:    parseServerTime(f[8], loc),
		ClientDisconnected: parseServerTime(f[9], loc),
		ClientIdle:         time.Duration(leadingInt(f[10])) * time.Second,
		Major:              leadingInt(f[11]),
		Minor:              leadingInt(f[12]),
		Uses:               leadingInt(f[13]),
		ServerPID:          leadingInt(f[14]),
		Connected:          f[15] == "1",
		Status:             f[16],
	}
	if len(f) >= processFields45 {
		p.LoadBalanceNode = f[17]
	}
	if len(f) >= processFields47 {
		p.ClientHost, p.ClientPort, p.Statement = f[18], f[19], f[20]
	}
	return p, strict.err
}

// leadingInt reads a number, behind which Pgpool-II may put a remark in
// brackets. Zero if there is none, or if it has more than 32 bits.
func leadingInt(s string) int {
	s, _, _ = strings.Cut(s, " ")
	n, err := strconv.ParseInt(s, 10, 32)
	if err != nil {
		return 0
	}
	return int(n)
}
