package certs

import (
	"crypto/tls"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// authority makes one with a certificate for each side.
func authority(t *testing.T, agentLife time.Duration) (dir string, controller, agent *Files) {
	t.Helper()
	dir = t.TempDir()
	if _, err := Init(dir, "test authority", 0); err != nil {
		t.Fatal(err)
	}
	side := func(r Request) *Files {
		p, err := Issue(dir, r)
		if err != nil {
			t.Fatal(err)
		}
		return &Files{CA: filepath.Join(dir, caCert), Cert: p.Cert, Key: p.Key}
	}
	return dir, side(Request{Role: Controller, Name: "pgpool1"}), side(Request{Role: Agent, Name: "db1",
		Hosts: []string{"127.0.0.1"}, Life: agentLife})
}

// shake makes one TLS connection between the two, and gives each side's error.
func shake(t *testing.T, client, server *Files) (clientErr, serverErr error) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	served := make(chan error, 1)
	go func() {
		raw, err := l.Accept()
		if err != nil {
			served <- err
			return
		}
		defer raw.Close()
		conf, err := server.Server()
		if err == nil {
			c := tls.Server(raw, conf)
			if err = c.HandshakeContext(t.Context()); err == nil {
				_, err = c.Write([]byte("x"))
			}
		}
		served <- err
	}()
	conf, err := client.Client()
	if err != nil {
		t.Fatal(err)
	}
	conf = conf.Clone()
	conf.ServerName = "127.0.0.1"
	raw, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	c := tls.Client(raw, conf)
	if clientErr = c.HandshakeContext(t.Context()); clientErr == nil {
		_, clientErr = c.Read(make([]byte, 1)) // in TLS 1.3 a refused client learns of it here
	}
	raw.Close()
	return clientErr, <-served
}

func TestSidesKnowEachOther(t *testing.T) {
	t.Parallel()
	_, controller, agent := authority(t, 0)
	if c, s := shake(t, controller, agent); c != nil || s != nil {
		t.Errorf("controller to agent: %v, %v", c, s)
	}
	// A key stolen from a database host is good for no orders, and one from a
	// controller plays no agent.
	if c, s := shake(t, agent, agent); c == nil || s == nil {
		t.Error("an agent's certificate was taken for a controller's")
	}
	if c, _ := shake(t, controller, controller); c == nil {
		t.Error("a controller's certificate was taken for an agent's")
	}
	_, stranger, other := authority(t, 0)
	if c, s := shake(t, stranger, agent); c == nil || s == nil {
		t.Error("a stranger's certificate was taken")
	}
	if c, _ := shake(t, controller, other); c == nil {
		t.Error("a stranger's agent was taken")
	}
}

func TestRenewalIsSeenWithoutRestart(t *testing.T) {
	t.Parallel()
	dir, controller, agent := authority(t, time.Second)
	if c, s := shake(t, controller, agent); c != nil || s != nil {
		t.Fatalf("before it expires: %v, %v", c, s)
	}
	deadline := time.Now().Add(10 * time.Second)
	for { // waits until the second is over
		c, _ := shake(t, controller, agent)
		if c != nil {
			var bad *tls.CertificateVerificationError
			if !errors.As(c, &bad) || !strings.Contains(c.Error(), "expired") {
				t.Errorf("the expired certificate: %v", c)
			}
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("an expired certificate is still taken")
		}
	}
	before, err := Read(agent.Cert)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Renew(dir, agent.Cert, time.Hour); err != nil {
		t.Fatal(err)
	}
	if c, s := shake(t, controller, agent); c != nil || s != nil {
		t.Errorf("after the renewal: %v, %v", c, s)
	}
	after, err := Read(agent.Cert)
	if err != nil || after.Subject.CommonName != "db1" || len(after.IPAddresses) != 1 ||
		after.SerialNumber.Cmp(before.SerialNumber) == 0 {
		t.Errorf("renewed: %+v, %v", after, err)
	}
	// What cannot be read does not end what works.
	if err := os.WriteFile(agent.Cert, []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	if c, s := shake(t, controller, agent); c != nil || s != nil {
		t.Errorf("with a half-written certificate: %v, %v", c, s)
	}
}

func TestFilesAreKept(t *testing.T) {
	t.Parallel()
	dir, controller, _ := authority(t, 0)
	for _, name := range []string{caKey, "db1.key", "pgpool1.key"} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", name, info, err)
		}
	}
	if _, err := Init(dir, "again", 0); err == nil {
		t.Error("an authority was replaced")
	}
	if _, err := Issue(dir, Request{Role: Agent, Name: "db1"}); err == nil {
		t.Error("a certificate was replaced by issue")
	}
	for _, name := range []string{"", "../x", "-x", "a b", "ca"} {
		if _, err := Issue(dir, Request{Role: Agent, Name: name}); err == nil {
			t.Errorf("name %q was taken", name)
		}
	}
	if err := os.Chmod(controller.Key, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := (&Files{CA: controller.CA, Cert: controller.Cert, Key: controller.Key}).Client(); err == nil {
		t.Error("a key that others may read was taken")
	}
	list, err := controller.Expiries()
	if err != nil || len(list) != 2 || list[0].Name != "pgpool1" || time.Until(list[0].NotAfter) < 364*24*time.Hour {
		t.Errorf("expiries: %+v, %v", list, err)
	}
}
