package pcp

import (
	"context"
	"fmt"
	"math"
	"strconv"
	"time"
)

// serverTime is how Pgpool-II writes times, in its own host's time zone.
const serverTime = "2006-01-02 15:04:05"

// HealthStats are the counters of one node's health check since Pgpool-II
// started. Times are zero when the thing has never happened.
type HealthStats struct {
	ID   int
	Host string
	Port int
	// Status is "up", "waiting", "down", "quarantine" or "unused".
	Status string
	// Role is "primary" or "standby", in Pgpool-II's opinion.
	Role             string
	LastStatusChange time.Time
	// Total is the sum of Success, Fail and Skip. Every check of a node that is
	// down counts as skipped.
	Total, Success, Fail, Skip int
	// Retries is over all checks, MaxRetries the most of one check.
	Retries, MaxRetries int
	AverageRetries      float64
	// Durations of single checks, in whole milliseconds except the average.
	MaxDuration, MinDuration, AverageDuration time.Duration

	LastCheck, LastSuccess, LastSkip, LastFail time.Time
}

// Attached says whether Pgpool-II routes sessions to the node.
func (h HealthStats) Attached() bool {
	return h.Status == statusNames[StatusUp] || h.Status == statusNames[StatusWaiting]
}

// HealthStats asks for the health check statistics of one node. Pgpool-II
// answers from memory, without connecting to the node: the cheapest way to its
// status. An unknown id is a *ServerError.
func (c *Conn) HealthStats(ctx context.Context, id int) (HealthStats, error) {
	if err := c.checkNode("health check stats", id); err != nil {
		return HealthStats{}, err
	}
	var h HealthStats
	cmd := command{name: "health check stats", tag: 'H', reply: 'h'}
	err := c.do(ctx, cmd, terminatedInt(id), func(payload []byte) (bool, error) {
		f, err := completed(payload)
		if err != nil {
			return false, err
		}
		h, err = parseHealthStats(f, c.loc)
		return true, err
	})
	if err != nil {
		return HealthStats{}, err
	}
	return h, nil
}

const healthFields = 20

func parseHealthStats(f []string, loc *time.Location) (HealthStats, error) {
	if len(f) != healthFields {
		return HealthStats{}, fmt.Errorf("%w: health check stats of %d fields, expected %d", ErrProtocol, len(f),
			healthFields)
	}
	h := HealthStats{Host: f[1], Status: f[3], Role: f[4]}
	var p numbers
	h.ID = p.atMost("node id", f[0], math.MaxInt32)
	h.Port = p.atMost("port", f[2], math.MaxUint16)
	counters := []*int{&h.Total, &h.Success, &h.Fail, &h.Skip, &h.Retries}
	for i, to := range counters {
		*to = p.atMost("health check counter", f[6+i], math.MaxInt)
	}
	h.AverageRetries = finite(f[11])
	h.MaxRetries = p.atMost("retry count", f[12], math.MaxInt)
	h.MaxDuration = milliseconds(f[13])
	h.MinDuration = milliseconds(f[14])
	h.AverageDuration = milliseconds(f[15])

	h.LastStatusChange = parseServerTime(f[5], loc)
	h.LastCheck = parseServerTime(f[16], loc)
	h.LastSuccess = parseServerTime(f[17], loc)
	h.LastSkip = parseServerTime(f[18], loc)
	h.LastFail = parseServerTime(f[19], loc)
	return h, p.err
}

// parseServerTime reads the time at the beginning of s, behind which Pgpool-II
// may put a remark in brackets. Zero if there is none.
func parseServerTime(s string, loc *time.Location) time.Time {
	if len(s) < len(serverTime) {
		return time.Time{}
	}
	t, err := time.ParseInLocation(serverTime, s[:len(serverTime)], loc)
	if err != nil {
		return time.Time{}
	}
	return t
}

// milliseconds is lenient: an average over no checks is no number.
func milliseconds(s string) time.Duration {
	ms := finite(s)
	if ms > float64(math.MaxInt64/int64(time.Millisecond)) {
		return 0
	}
	return time.Duration(ms * float64(time.Millisecond))
}

// finite is zero for what is not a finite number from 0 up.
func finite(s string) float64 {
	v, err := strconv.ParseFloat(s, 64)
	if err != nil || math.IsNaN(v) || math.IsInf(v, 0) || v < 0 {
		return 0
	}
	return v
}
