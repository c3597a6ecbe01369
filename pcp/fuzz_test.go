package pcp

import (
	"bytes"
	"errors"
	"io"
	"os"
	"strings"
	"testing"
	"unicode"
)

func FuzzReadMessage(f *testing.F) {
	for _, m := range captured(f) {
		f.Add(frame(m.tag, string(m.payload)))
	}
	f.Add(oversized('i', -1))
	f.Add(oversized('i', maxMessage))
	f.Add(oversized('i', maxMessage+1))
	f.Fuzz(func(t *testing.T, stream []byte) {
		r := bytes.NewReader(stream)
		m, err := readMessage(r)
		switch {
		case err == nil:
			read := stream[:len(stream)-r.Len()]
			if again := frame(m.tag, string(m.payload)); !bytes.Equal(again, read) {
				t.Errorf("read % x as % x", read, again)
			}
		case errors.Is(err, ErrProtocol), len(stream) == 0 && errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		default:
			t.Errorf("unexpected error %v", err)
		}
	})
}

func FuzzNodeInfo(f *testing.F) {
	for _, m := range captured(f) {
		if m.tag == 'i' {
			f.Add(m.payload)
		}
	}
	f.Add(node44[5:])
	f.Add(node44bytes[5:])
	f.Fuzz(func(t *testing.T, payload []byte) {
		text, err := fields(payload)
		if err != nil || len(text) == 0 {
			return
		}
		n, err := parseNodeInfo(text[1:])
		if err != nil {
			if !errors.Is(err, ErrProtocol) {
				t.Errorf("unexpected error %v", err)
			}
			return
		}
		if strings.Contains(n.Status.String()+n.Role.String(), "unknown") || n.Port < 0 || n.Port > 65535 {
			t.Errorf("impossible %+v", n)
		}
		if n.Attached() && n.Quarantine || n.DelayTime < 0 {
			t.Errorf("contradictory %+v", n)
		}
		if n.Host != text[1] || n.SyncState != text[len(text)-2] {
			t.Errorf("fields out of place: %+v from %q", n, text)
		}
	})
}

func FuzzServerError(f *testing.F) {
	for _, m := range captured(f) {
		if m.tag == tagError || m.tag == tagNotice {
			f.Add(m.payload)
		}
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		e, err := parseServerError(payload)
		if err != nil {
			if !errors.Is(err, ErrProtocol) {
				t.Errorf("unexpected error %v", err)
			}
			return
		}
		if e.Severity == "" || e.Message == "" || strings.ContainsFunc(e.Error(), unicode.IsControl) {
			t.Errorf("got %+v", e)
		}
	})
}

// FuzzPassFile looks in any file, and then finds what it puts in front of it.
func FuzzPassFile(f *testing.F) {
	sample, err := os.ReadFile("testdata/pcppass")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(string(sample), "10.0.0.1", "9898", "admin", "secret")
	f.Add("*:*:*:any", "#fe80::1", "*", `a\b`, `c:\`)
	f.Fuzz(func(t *testing.T, file, host, port, user, password string) {
		_, _, _ = scanPassFile(strings.NewReader(file), host, port, user)
		texts := []string{host, port, user, password}
		if all := strings.Join(texts, ""); strings.ContainsAny(all, "\r\n") || len(all) > 1000 {
			return
		}
		escape := strings.NewReplacer(`\`, `\\`, ":", `\:`, "*", `\*`, "#", `\#`)
		for i := range texts {
			texts[i] = escape.Replace(texts[i])
		}
		got, ok, err := scanPassFile(strings.NewReader(strings.Join(texts, ":")+"\n"+file), host, port, user)
		if got != password || !ok || err != nil {
			t.Errorf("got %q, %v, %v from %q, expected %q", got, ok, err, texts, password)
		}
	})
}
