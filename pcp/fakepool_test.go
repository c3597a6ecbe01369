package pcp

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestContractFake(t *testing.T) {
	t.Parallel()
	contract(t, startFake(t))
}

// fakePool answers as a Pgpool-II 4.3.5 with one node does. It shares no code
// with the client but the digest.
type fakePool struct {
	listeners []net.Listener
	port      int
	serving   sync.WaitGroup

	mu      sync.Mutex
	status  int
	changed time.Time
	checks  int
}

const fakeNodePort = 5432

func startFake(t *testing.T) contractPool {
	t.Helper()
	p := &fakePool{status: 2, changed: time.Now(), checks: 3}
	var lc net.ListenConfig
	tcp, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p.port = tcp.Addr().(*net.TCPAddr).Port
	dir := t.TempDir()
	unix, err := lc.Listen(t.Context(), "unix", filepath.Join(dir, ".s.PGSQL."+strconv.Itoa(p.port)))
	if err != nil {
		t.Fatal(err)
	}
	p.listeners = []net.Listener{tcp, unix}
	for _, l := range p.listeners {
		p.serving.Go(func() { p.accept(l) })
	}
	t.Cleanup(func() {
		p.stop()
		p.serving.Wait()
	})
	cfg := Config{Host: "127.0.0.1", Port: p.port, User: "pooladmin", Password: "it's a secret", Timeout: 5 * time.Second}
	socket := cfg
	socket.Host = dir
	return contractPool{tcp: cfg, unix: socket, nodePort: fakeNodePort}
}

func (p *fakePool) stop() {
	for _, l := range p.listeners {
		_ = l.Close()
	}
}

func (p *fakePool) accept(l net.Listener) {
	for {
		nc, err := l.Accept()
		if err != nil {
			return
		}
		p.serving.Go(func() {
			defer func() { _ = nc.Close() }()
			p.serve(nc)
		})
	}
}

// session is one connection to the fake.
type session struct {
	salt     []byte
	loggedIn bool
	chatty   bool
	over     bool
}

func (p *fakePool) serve(nc net.Conn) {
	var s session
	for !s.over {
		var head [5]byte
		if _, err := io.ReadFull(nc, head[:]); err != nil {
			return
		}
		payload := make([]byte, binary.BigEndian.Uint32(head[1:])-4)
		if _, err := io.ReadFull(nc, payload); err != nil {
			return
		}
		chatter := frame('N', "SDEBUG\x00CXX000\x00Mreceived PCP packet\x00Fpcp_worker.c\x00L196\x00\x00")
		reply := p.answer(&s, head[0], payload)
		if s.chatty {
			reply = bytes.Join([][]byte{chatter, reply, chatter}, nil)
		}
		if _, err := nc.Write(reply); err != nil {
			return
		}
	}
}

func (p *fakePool) answer(s *session, tag byte, payload []byte) []byte {
	text := strings.Split(string(payload), "\x00")
	switch {
	case tag == 'M':
		s.salt = []byte{0, 1, 2, 3}
		return frame('m', string(s.salt))
	case tag == 'R':
		digest := loginDigest(md5Hex([]byte("it's a secret")), "pooladmin", s.salt)
		if s.salt == nil || string(payload) != "pooladmin\x00"+digest+"\x00" {
			return s.fatal(fmt.Sprintf("authentication failed for user %q", text[0]), "username and/or password does not match")
		}
		s.salt, s.loggedIn = nil, true
		return texts('r', "AuthenticationOK")
	case tag == 'X':
		s.over = true
		return nil
	case !s.loggedIn:
		return s.fatal("authentication failed for new PCP connection", "connection not authorized")
	}
	return p.command(s, tag, text, string(payload))
}

func (s *session) fatal(message, detail string) []byte {
	s.over = true
	return failure("FATAL", message, detail)
}

func (p *fakePool) command(s *session, tag byte, text []string, payload string) []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch tag {
	case 'L':
		return texts('l', "CommandComplete", "1")
	case 'I':
		return p.nodeInfo(text[0])
	case 'H':
		return p.health(text[0])
	case 'N':
		return texts('n', "CommandComplete", "2", "101", "102")
	case 'P':
		return p.processes(text[0])
	case 'W':
		return failure("ERROR", "PCP: informing watchdog info failed", "watchdog is not enabled")
	case 'B':
		return p.settings()
	case 'D':
		p.set(3)
		return done('d')
	case 'C':
		if text[0] != "0" {
			return failure("ERROR", "invalid failback request, node id: "+text[0]+" is out of range", "")
		}
		if p.status == 3 {
			p.set(1)
		}
		return done('c')
	case 'O':
		return failure("ERROR", "process recovery request failed", "primary server cannot be recovered by online recovery.")
	case 'J':
		if payload == "0 \x00n" {
			return s.fatal("invalid pgpool mode for process promote request", "specified node is already primary node")
		}
		return failure("ERROR", "could not process promote request", "node id is not valid")
	case 'A':
		if text[0] != "client_min_messages" {
			return failure("ERROR", "PCP: set configuration parameter failed", "invalid parameter")
		}
		s.chatty = true
		return done('a')
	case 'Z':
		return done('z')
	case 'T':
		p.stop()
		return done('t')
	}
	return s.fatal("PCP processing request", fmt.Sprintf("unknown PCP packet type %q", tag))
}

func (p *fakePool) set(status int) {
	p.status, p.changed = status, time.Now()
}

func (p *fakePool) nodeInfo(id string) []byte {
	if id != "0" && id != "-1" {
		return failure("ERROR", "informing node info failed", "invalid node ID : "+id)
	}
	role := "2"
	if p.status == 3 {
		role = "3"
	}
	return bytes.Join([][]byte{
		texts('i', "ArraySize", "1"),
		texts('i', "NodeInfo", "127.0.0.1", strconv.Itoa(fakeNodePort), strconv.Itoa(p.status), "0", "up", fullWeight, role,
			"primary", "0", "", "", strconv.FormatInt(p.changed.Unix(), 10)),
		done('i'),
	}, nil)
}

func (p *fakePool) health(id string) []byte {
	if id != "0" {
		return failure("ERROR", "informing health check stats info failed", "stats data for node ID "+id+" does not exist")
	}
	status, role := [...]string{"unused", "waiting", "up", "down"}[p.status], "primary"
	if p.status == 3 {
		role = "standby"
	}
	n, now := strconv.Itoa(p.checks), time.Now().Format(time.DateTime)
	return texts('h', "CommandComplete", "0", "127.0.0.1", strconv.Itoa(fakeNodePort), status, role,
		p.changed.Format(time.DateTime),
		n, n, "0", "0", "0", "0.000000", "0", "24", "14", "19.000000", now, now, "", "")
}

func (p *fakePool) processes(pid string) []byte {
	count := map[string]string{"0": "2", "101": "1", "102": "1"}[pid]
	if count == "" {
		return failure("ERROR", "informing process info failed", "invalid process ID : "+pid)
	}
	list := texts('p', "ArraySize", count)
	for _, id := range []string{"101", "102"} {
		if pid == "0" || pid == id {
			list = append(list, texts('p', "ProcessInfo", id, p.changed.Format(time.DateTime), "0", "0", "0", "", "", "", "", "",
				"0", "0", "0", "0", "0", "0", "Wait for connection")...)
		}
	}
	return append(list, done('p')...)
}

func (p *fakePool) settings() []byte {
	list := frame('b', "ArraySize\x00\x00\x00\x00\x03")
	for name, value := range map[string]string{
		"pcp_port": strconv.Itoa(p.port), "backend_port0": strconv.Itoa(fakeNodePort), "use_watchdog": "0",
	} {
		list = append(list, texts('b', "ProcessConfig", name, value, "a setting")...)
	}
	return append(list, done('b')...)
}
