package pcp

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"strings"
)

// Setting is one parameter of the running Pgpool-II.
type Setting struct {
	// Name is as in pgpool.conf, Value as text: booleans 0 or 1, passwords
	// hidden by Pgpool-II. Description is a few words of Pgpool-II's.
	Name, Value, Description string
}

// PoolStatus asks for the settings that are in effect (pool status).
func (c *Conn) PoolStatus(ctx context.Context) ([]Setting, error) {
	var list []Setting
	reply := arrayReply{kind: "ProcessConfig", record: func(f []string) error {
		if len(f) != 3 {
			return fmt.Errorf("%w: setting of %d fields, expected 3", ErrProtocol, len(f))
		}
		list = append(list, Setting{Name: f[0], Value: f[1], Description: f[2]})
		return nil
	}}
	err := c.do(ctx, command{name: "pool status", tag: 'B', reply: 'b'}, nil, func(payload []byte) (bool, error) {
		// This one reply announces its size in binary.
		size, ok := bytes.CutPrefix(payload, []byte(arraySize+"\x00"))
		if ok && len(size) == 4 && !reply.sized {
			return false, reply.begin(int(int32(binary.BigEndian.Uint32(size))))
		}
		return reply.take(payload)
	})
	if err != nil {
		return nil, err
	}
	return list, nil
}

// SetParameter changes a parameter for this connection. Pgpool-II knows one,
// client_min_messages; the notices that it makes Pgpool-II send are skipped.
func (c *Conn) SetParameter(ctx context.Context, name, value string) error {
	if strings.ContainsRune(name+value, 0) {
		return fmt.Errorf("pcp %s: set parameter: zero byte in %q or its value", c.addr, name)
	}
	return c.order(ctx, command{name: "set parameter", tag: 'A', reply: 'a'}, terminated(name, value))
}
