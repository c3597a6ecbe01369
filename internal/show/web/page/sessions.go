package page

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/bcrypt"
)

// Login is what a person must know to act: a password, by its bcrypt hash, or
// the content of a file.
type Login struct {
	PasswordHash string
	TokenFile    string
}

// On says whether there is a login at all.
func (l Login) On() bool { return l.PasswordHash != "" || l.TokenFile != "" }

// minSecret is the minimum length of a token file's secret.
const minSecret = 16

// check says whether given is the password or the token. A token file that cannot
// be used is an error, for the log only.
func (l Login) check(given string) (bool, error) {
	if l.PasswordHash != "" && bcrypt.CompareHashAndPassword([]byte(l.PasswordHash), []byte(given)) == nil {
		return true, nil
	}
	if l.TokenFile == "" {
		return false, nil
	}
	info, err := os.Stat(l.TokenFile)
	if err != nil {
		return false, fmt.Errorf("read token file: %w", err)
	}
	if !info.Mode().IsRegular() || info.Mode().Perm()&0o077 != 0 {
		return false, fmt.Errorf("token file %s: %w: others may read it; chmod 600 it", l.TokenFile, fs.ErrPermission)
	}
	b, err := os.ReadFile(l.TokenFile)
	if err != nil {
		return false, fmt.Errorf("read token file: %w", err)
	}
	want := strings.TrimSpace(string(b))
	if len(want) < minSecret {
		return false, errors.New("token file " + l.TokenFile + ": its secret is shorter than 16 characters")
	}
	x, y := sha256.Sum256([]byte(want)), sha256.Sum256([]byte(given))
	return subtle.ConstantTimeCompare(x[:], y[:]) == 1, nil
}

const (
	cookieName = "repool_session"
	// idleFor and liveFor end a session.
	idleFor = 30 * time.Minute
	liveFor = 12 * time.Hour
	// maxSessions are open at a time: the oldest gives way.
	maxSessions = 32
	// tries attempts may be made at once, then one each tryEvery, by all clients
	// together: behind a proxy all have one address.
	tries    = 5
	tryEvery = 10 * time.Second
)

// session is one login.
type session struct {
	token   string // is in each of its forms
	who     string
	made    time.Time
	used    time.Time
	message string // shown once, after an action
}

// sessions are in memory only: a restart of the controller ends them all.
type sessions struct {
	login Login
	log   *slog.Logger

	mu   sync.Mutex
	all  map[string]*session // by the hash of the cookie
	left float64             // tries left
	at   time.Time           // when left was counted
}

func newSessions(l Login, log *slog.Logger) *sessions {
	return &sessions{login: l, log: log, all: map[string]*session{}, left: tries, at: time.Now()}
}

func keyOf(cookie string) string {
	sum := sha256.Sum256([]byte(cookie))
	return string(sum[:])
}

// of is the request's session, or nil.
func (s *sessions) of(r *http.Request) *session {
	c, err := r.Cookie(cookieName)
	if err != nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	key := keyOf(c.Value)
	one := s.all[key]
	if one == nil {
		return nil
	}
	now := time.Now()
	if now.Sub(one.made) > liveFor || now.Sub(one.used) > idleFor {
		delete(s.all, key)
		return nil
	}
	one.used = now
	shown := *one
	return &shown
}

// flash is the session's message, once.
func (s *sessions) flash(r *http.Request) string {
	c, err := r.Cookie(cookieName)
	if err != nil {
		return ""
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	one := s.all[keyOf(c.Value)]
	if one == nil {
		return ""
	}
	text := one.message
	one.message = ""
	return text
}

func (s *sessions) leave(r *http.Request, message string) {
	if c, err := r.Cookie(cookieName); err == nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		if one := s.all[keyOf(c.Value)]; one != nil {
			one.message = message
		}
	}
}

// mayTry takes one of the tries that are left.
func (s *sessions) mayTry() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	s.left = min(tries, s.left+now.Sub(s.at).Seconds()/tryEvery.Seconds())
	s.at = now
	if s.left < 1 {
		return false
	}
	s.left--
	return true
}

// open makes a session for who.
func (s *sessions) open(w http.ResponseWriter, r *http.Request, who string) {
	cookie, now := rand.Text()+rand.Text(), time.Now()
	s.mu.Lock()
	if len(s.all) >= maxSessions {
		oldest := ""
		for key, one := range s.all {
			if oldest == "" || one.used.Before(s.all[oldest].used) {
				oldest = key
			}
		}
		delete(s.all, oldest)
	}
	s.all[keyOf(cookie)] = &session{token: rand.Text(), who: who, made: now, used: now}
	s.left = min(tries, s.left+1) // a good login does not count
	s.mu.Unlock()
	http.SetCookie(w, cookieOf(r, cookie, int(liveFor.Seconds())))
}

func (s *sessions) close(w http.ResponseWriter, r *http.Request) {
	if c, err := r.Cookie(cookieName); err == nil {
		s.mu.Lock()
		delete(s.all, keyOf(c.Value))
		s.mu.Unlock()
	}
	http.SetCookie(w, cookieOf(r, "", -1))
}

// cookieOf is hidden from scripts, sent to this site only, and only over TLS if the
// browser came by it.
func cookieOf(r *http.Request, value string, age int) *http.Cookie {
	return &http.Cookie{Name: cookieName, Value: value, Path: "/", MaxAge: age, HttpOnly: true,
		SameSite: http.SameSiteStrictMode,
		Secure:   r.TLS != nil || r.Header.Get("X-Forwarded-Proto") == "https"}
}

// equal takes as long for a wrong secret as for the right one.
func equal(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }
