package pcp

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
)

// step is one thing that a scripted server does: wait for bytes, or send some.
type step func(net.Conn) error

// script runs a server that does the steps one after the other, and returns the
// client's end. net.Pipe makes each write of the server one read of the client,
// so that a script decides what arrives together and what apart.
func script(t testing.TB, steps ...step) net.Conn {
	t.Helper()
	client, server := net.Pipe()
	done := make(chan error, 1)
	go func() { done <- play(server, steps) }()
	t.Cleanup(func() {
		_ = client.Close()
		if err := <-done; err != nil {
			t.Errorf("scripted server: %v", err)
		}
	})
	return client
}

func play(server net.Conn, steps []step) error {
	defer func() { _ = server.Close() }()
	for i, s := range steps {
		if err := s(server); err != nil {
			return fmt.Errorf("step %d: %w", i, err)
		}
	}
	// Whatever follows must be the farewell, or nothing.
	rest, err := io.ReadAll(server)
	if err != nil && !errors.Is(err, io.ErrClosedPipe) {
		return err
	}
	if len(rest) > 0 && !bytes.Equal(rest, frame('X', "")) {
		return fmt.Errorf("client sent %q after the script's end", rest)
	}
	return nil
}

// expect waits for one request, byte for byte.
func expect(tag byte, payload string) step {
	want := frame(tag, payload)
	return func(nc net.Conn) error {
		got := make([]byte, len(want))
		n, err := io.ReadFull(nc, got)
		if err != nil || !bytes.Equal(got, want) {
			return fmt.Errorf("got % x (%v), expected % x", got[:n], err, want)
		}
		return nil
	}
}

// send writes all of it at once. A client that has closed already is no fault of
// the server's.
func send(messages ...[]byte) step {
	all := bytes.Join(messages, nil)
	return func(nc net.Conn) error {
		_, err := nc.Write(all)
		if errors.Is(err, io.ErrClosedPipe) {
			return nil
		}
		return err
	}
}

// trickle writes byte by byte.
func trickle(messages ...[]byte) step {
	all := bytes.Join(messages, nil)
	return func(nc net.Conn) error {
		for i := range all {
			if _, err := nc.Write(all[i : i+1]); err != nil {
				return err
			}
		}
		return nil
	}
}

// hangUp closes the server's end.
func hangUp(nc net.Conn) error { return nc.Close() }

func frame(tag byte, payload string) []byte {
	b := append([]byte{tag}, binary.BigEndian.AppendUint32(nil, uint32(4+len(payload)))...)
	return append(b, payload...)
}

// texts is a payload of texts, each ended by a zero byte.
func texts(tag byte, list ...string) []byte { return frame(tag, string(terminated(list...))) }

func failure(severity, message, detail string) []byte {
	return frame('E', string(terminated("S"+severity, "CXX000", "M"+message, "D"+detail, "Fpcp_worker.c", "L843", "")))
}

// loggedIn is the login of the annotated capture, user and password "postgres".
func loggedIn() []step {
	return []step{
		expect('M', ""),
		send(frame('m', "\xf7\xe5\x88\x33")),
		expect('R', "postgres\x00ad62651b2ea7fc4dfec6cf73ce819826\x00"),
		send(texts('r', "AuthenticationOK")),
	}
}

func captureConfig() Config {
	return Config{Host: "pool.test", User: "postgres", Password: "postgres", Location: time.UTC}
}

// dialScript logs in to a scripted server that then does the steps.
func dialScript(t testing.TB, steps ...step) *Conn {
	t.Helper()
	c, err := handshake(t.Context(), script(t, append(loggedIn(), steps...)...), captureConfig())
	if err != nil {
		t.Fatalf("login: %v", err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// listen serves one script on a TCP port, and returns a Config to reach it.
func listen(t testing.TB, steps ...step) Config {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() {
		nc, err := l.Accept()
		if err == nil {
			err = play(nc, steps)
		}
		done <- err
	}()
	t.Cleanup(func() {
		_ = l.Close()
		if err := <-done; err != nil && !errors.Is(err, net.ErrClosed) {
			t.Errorf("scripted server: %v", err)
		}
	})
	cfg := captureConfig()
	cfg.Host, cfg.Port = "127.0.0.1", l.Addr().(*net.TCPAddr).Port
	return cfg
}

// captured reads the messages of testdata/capture-4.3.5.txt.
func captured(t testing.TB) []message {
	t.Helper()
	file, err := os.Open("testdata/capture-4.3.5.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	var list []message
	for lines := bufio.NewScanner(file); lines.Scan(); {
		line := lines.Text()
		if strings.HasPrefix(line, "#") {
			continue
		}
		payload, err := strconv.Unquote(line[2:])
		if err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		list = append(list, message{tag: line[0], payload: []byte(payload)})
	}
	return list
}
