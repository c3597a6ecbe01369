package control

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"syscall"
	"time"

	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/show/event"
)

// Client speaks to a controller's socket. Every call is bounded by its context and,
// except for Recover, by ten seconds.
type Client struct {
	path string
	http *http.Client
}

// NewClient makes a client for the socket at path. Nothing is opened yet.
func NewClient(path string) *Client {
	return &Client{path: path, http: &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "unix", path)
		},
	}}}
}

// Status reads the controller's newest status.
func (c *Client) Status(ctx context.Context) (Status, error) {
	var s Status
	return s, c.call(ctx, http.MethodGet, "/v1/status", nil, &s)
}

// Look requests a pass now.
func (c *Client) Look(ctx context.Context, reason string) error {
	return c.call(ctx, http.MethodPost, "/v1/look", map[string]string{"reason": reason}, nil)
}

// Hold puts a node, or the pool, on hold.
func (c *Client) Hold(ctx context.Context, r HoldRequest) error {
	return c.call(ctx, http.MethodPost, "/v1/hold", r, nil)
}

// Release ends a hold and releases a parked node.
func (c *Client) Release(ctx context.Context, node topology.NodeID, who string) error {
	return c.call(ctx, http.MethodPost, "/v1/release", HoldRequest{Node: node, Who: who}, nil)
}

// ResyncWith consents to a resync and releases a parked node.
func (c *Client) ResyncWith(ctx context.Context, r ResyncRequest) error {
	return c.call(ctx, http.MethodPost, "/v1/resync", r, nil)
}

// Resync consents to any method for node.
func (c *Client) Resync(ctx context.Context, node topology.NodeID) error {
	return c.ResyncWith(ctx, ResyncRequest{Node: node, Who: "hook"})
}

// Attach has a node attached once it is proven.
func (c *Client) Attach(ctx context.Context, r NodeRequest) error {
	return c.call(ctx, http.MethodPost, "/v1/attach", r, nil)
}

// Detach puts a standby on hold and has it detached.
func (c *Client) Detach(ctx context.Context, r NodeRequest) error {
	return c.call(ctx, http.MethodPost, "/v1/detach", r, nil)
}

// Checkpoint requests a checkpoint on node, without waiting for it.
func (c *Client) Checkpoint(ctx context.Context, node topology.NodeID) error {
	return c.call(ctx, http.MethodPost, "/v1/checkpoint", ResyncRequest{Node: node}, nil)
}

// History reads events.
func (c *Client) History(ctx context.Context, f event.Filter) ([]event.Event, error) {
	q := url.Values{}
	if f.Node != nil {
		q.Set("node", strconv.Itoa(int(*f.Node)))
	}
	for name, v := range map[string]string{"kind": f.Kind, "code": f.Code, "run": f.Run} {
		if v != "" {
			q.Set(name, v)
		}
	}
	if f.Limit > 0 {
		q.Set("limit", strconv.Itoa(f.Limit))
	}
	if !f.Since.IsZero() {
		q.Set("since", f.Since.Format(time.RFC3339Nano))
	}
	if !f.Until.IsZero() {
		q.Set("until", f.Until.Format(time.RFC3339Nano))
	}
	var out []event.Event
	return out, c.call(ctx, http.MethodGet, "/v1/history?"+q.Encode(), nil, &out)
}

// Recover requests an online recovery and follows it to its end; only ctx bounds it,
// since a copy may take hours.
func (c *Client) Recover(ctx context.Context, node topology.NodeID, say func(string)) error {
	resp, err := c.send(ctx, http.MethodPost, "/v1/recover", ResyncRequest{Node: node, Who: "online recovery"})
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		_, err := c.body(resp)
		return err
	}
	in := bufio.NewScanner(resp.Body)
	in.Buffer(nil, 1<<20)
	for in.Scan() {
		var l line
		if err := json.Unmarshal(in.Bytes(), &l); err != nil {
			return fmt.Errorf("controller at %s sent an invalid response: %w", c.path, err)
		}
		if l.Say != "" {
			say(l.Say)
		}
		switch {
		case !l.Done:
		case l.Err != nil:
			return l.Err
		case l.Fail != "":
			return fmt.Errorf("controller at %s: %s", c.path, l.Fail)
		default:
			return nil
		}
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return fmt.Errorf("lost the controller at %s during the recovery, which continues by itself if it can: %w", c.path,
		errors.Join(in.Err(), io.ErrUnexpectedEOF))
}

func (c *Client) call(ctx context.Context, method, path string, in, out any) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	resp, err := c.send(ctx, method, path, in)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := c.body(resp)
	if err != nil || out == nil {
		return err
	}
	if err := json.Unmarshal(body, out); err != nil {
		return fmt.Errorf("controller at %s sent an invalid response: %w", c.path, err)
	}
	return nil
}

// maxAnswer is far more than any response has; see event.MaxLimit.
const maxAnswer = 64 << 20

// body reads a response; the error is a *RefusedError if the controller refused.
func (c *Client) body(resp *http.Response) ([]byte, error) {
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("read answer of controller at %s: %w", c.path, err)
	case len(body) > maxAnswer:
		return nil, fmt.Errorf("controller at %s sent more than %d bytes", c.path, maxAnswer)
	case resp.StatusCode == http.StatusOK:
		return body, nil
	}
	re := &RefusedError{}
	switch {
	case json.Unmarshal(body, re) != nil || re.Msg == "":
		return nil, fmt.Errorf("controller at %s answered %s", c.path, resp.Status)
	case resp.StatusCode == http.StatusConflict:
		return nil, re
	}
	return nil, fmt.Errorf("controller at %s: %s", c.path, re.Msg)
}

func (c *Client) send(ctx context.Context, method, path string, in any) (*http.Response, error) {
	var body io.Reader
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return nil, fmt.Errorf("encode request: %w", err)
		}
		body = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://controller"+path, body)
	if err != nil {
		return nil, fmt.Errorf("make request: %w", err)
	}
	resp, err := c.http.Do(req)
	if errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.ENOENT) {
		return nil, fmt.Errorf("%s: %w", c.path, ErrNotRunning)
	}
	if errors.Is(err, fs.ErrPermission) {
		return nil, fmt.Errorf("%s: %w: run this as the user that runs repool serve", c.path, fs.ErrPermission)
	}
	if err != nil {
		return nil, fmt.Errorf("ask controller at %s: %w", c.path, err)
	}
	return resp, nil
}
