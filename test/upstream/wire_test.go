package upstream

import (
	"crypto/md5"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"strings"
	"time"
)

// rawNodeInfo asks for one node over the wire, sharing nothing with package pcp,
// and gives the fields of the record.
func (p *pool) rawNodeInfo(id int) []string {
	p.T.Helper()
	c := p.PCP(0)
	conn, err := net.DialTimeout("tcp", fmt.Sprintf("%s:%d", c.Host, c.Port), 10*time.Second)
	p.Must(err)
	defer conn.Close()
	p.Must(conn.SetDeadline(time.Now().Add(20 * time.Second)))
	say := func(tag byte, payload string) {
		b := binary.BigEndian.AppendUint32([]byte{tag}, uint32(len(payload)+4))
		_, err := conn.Write(append(b, payload...))
		p.Must(err)
	}
	hear := func(tag byte) string {
		head := make([]byte, 5)
		_, err := io.ReadFull(conn, head)
		p.Must(err)
		body := make([]byte, binary.BigEndian.Uint32(head[1:])-4)
		_, err = io.ReadFull(conn, body)
		p.Must(err)
		if head[0] != tag {
			p.T.Fatalf("answer %q %q, expected %q", head[0], body, tag)
		}
		return string(body)
	}
	sum := func(s string) string {
		h := md5.Sum([]byte(s))
		return hex.EncodeToString(h[:])
	}
	say('M', "")
	salt := hear('m')
	say('R', c.User+"\x00"+sum(sum(sum(c.Password)+c.User)+salt)+"\x00")
	hear('r')
	say('I', fmt.Sprintf("%d\x00", id))
	hear('i') // ArraySize
	record := strings.Split(strings.TrimSuffix(hear('i'), "\x00"), "\x00")
	hear('i') // CommandComplete
	say('X', "")
	return record[1:]
}
