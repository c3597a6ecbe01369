package postgres

import (
	"errors"
	"fmt"
	"testing"
)

func TestConnInfo(t *testing.T) {
	t.Parallel()
	c, err := ParseConnInfo(` host = /tmp port=5433 password='it\'s \\ x'` +
		` application_name=a\ b unknown_key='' user=x user=y`)
	if err != nil {
		t.Fatal(err)
	}
	for key, value := range map[string]string{"host": "/tmp", "port": "5433", "password": `it's \ x`,
		"application_name": "a b", "unknown_key": "", "user": "y"} {
		if got, ok := c.Get(key); got != value || !ok {
			t.Errorf("%s: got %q %v, want %q", key, got, ok, value)
		}
	}
	c = c.With("user", "z").With("port", "1").With("new", "a=b").Without("host", "unknown_key")
	const want = `port=1 password='it\'s \\ x' application_name='a b' user=z new='a=b'`
	if c.String() != want {
		t.Errorf("got %s, want %s", c, want)
	}
	for _, bad := range []string{"host", "=x", "host='x", "host x=1", "password=a secret"} {
		if _, err := ParseConnInfo(bad); err == nil || bad == "password=a secret" &&
			fmt.Sprint(err) != `connection string: no "=" after keyword number 2` {
			t.Errorf("%q: got error %v", bad, err)
		}
	}
	if _, err := ParseConnInfo("postgresql://h/db"); !errors.Is(err, ErrConnURI) {
		t.Errorf("URI: got error %v", err)
	}
}

func FuzzConnInfo(f *testing.F) {
	f.Add(`host=/tmp user='it\'s' password=a\ b x=''`)
	f.Fuzz(func(t *testing.T, text string) {
		c, err := ParseConnInfo(text)
		if err != nil {
			return
		}
		again, err := ParseConnInfo(c.String())
		if err != nil || again.String() != c.String() || len(again) != len(c) {
			t.Errorf("%q became %q, then %q (%v)", text, c, again, err)
		}
	})
}
