package crashpoints

import (
	"slices"
	"strings"

	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/node/resync"
)

// way leads a node to a point: what is done to it, step by step, while its
// agent is down. Each stage ends with the agent's death at a point; that of the
// last stage is the one to be shown.
type way struct {
	// primary: the node is the pool's primary at the beginning; else the standby.
	primary bool
	// custom: the pool has a resync_command.
	custom bool
	stages []stage
	// mend undoes what the stages did that repool cannot; nil: nothing.
	mend func(*bench)
}

// stage is one break of a way.
type stage struct {
	do []func(*bench)
	// during is called again and again until the agent is dead. May be nil.
	during func(*bench)
	// dies is where the agent dies; empty in the last stage.
	dies string
}

func last(do ...func(*bench)) stage { return stage{do: do} }

// replaced ends an earlier base backup with the new directory at home and the
// old one still in repair.
func replaced(dies string) stage {
	return stage{do: []func(*bench){diverge, ask(topology.MethodBaseBackup)}, dies: dies}
}

// ways names a way to each point: by "method:step" for the inner points of a
// step that usually finds nothing to do, by "method" for all others.
var ways = map[string]way{
	"start": {stages: []stage{last(kill)}},
	"start:retire": {primary: true, stages: []stage{
		replaced("base-backup:move-home:effect"), last(ask(topology.MethodStart))}},
	"start:discard-old": {primary: true, stages: []stage{
		replaced("base-backup:move-home:effect"), last(ask(topology.MethodStart))}},

	// The planner never starts a directory that is in repair, it adopts it. These
	// steps are for one that leaves its home between the decision and the run.
	"start:restore-config": {primary: true, stages: []stage{
		{do: []func(*bench){diverge}, dies: "rewind:rewind:after"},
		{do: []func(*bench){noController}, during: order(topology.MethodStart)}}},
	"start:move-home": {primary: true, stages: []stage{
		{do: []func(*bench){diverge}, dies: "rewind:rewind:after"},
		{do: []func(*bench){noController}, during: order(topology.MethodStart)}}},
	"start:undo": {primary: true, stages: []stage{
		{do: []func(*bench){killLevel}, dies: "adopt:move-away:effect"},
		{do: []func(*bench){noController, lockSettings}, during: order(topology.MethodStart)}}, mend: unlockSettings},

	"follow": {stages: []stage{last(misdirect)}},
	"follow:undo": {primary: true, stages: []stage{
		{do: []func(*bench){killLevel}, dies: "adopt:move-away:effect"},
		{do: []func(*bench){noController}, during: order(topology.MethodFollow)}}},
	"follow:retire": {primary: true, stages: []stage{
		replaced("base-backup:wait-streaming:before"), last(misdirect, ask(topology.MethodFollow))}},
	"follow:discard-old": {primary: true, stages: []stage{
		replaced("base-backup:wait-streaming:before"), last(misdirect, ask(topology.MethodFollow))}},

	"adopt": {primary: true, stages: []stage{last(killLevel)}},
	"adopt:make-room": {primary: true, stages: []stage{
		replaced("base-backup:move-home:effect"), last(unsign, ask(topology.MethodAdopt))}},
	"adopt:discard-old": {primary: true, stages: []stage{
		replaced("base-backup:move-home:effect"), last(unsign, ask(topology.MethodAdopt))}},
	"adopt:restore-config": {primary: true, stages: []stage{
		{do: []func(*bench){diverge}, dies: "rewind:rewind:after"}, last()}},
	"adopt:undo": {primary: true, stages: []stage{last(killLevel, lockSettings)}, mend: unlockSettings},

	"rewind":             {primary: true, stages: []stage{last(diverge)}},
	"rewind:stop-server": {primary: true, stages: []stage{last(diverge, startAsStandby)}},
	"rewind:make-room": {primary: true, stages: []stage{
		replaced("base-backup:move-home:effect"), last(promoteAndKill, ask(topology.MethodRewind))}},
	"rewind:discard-old": {primary: true, stages: []stage{
		replaced("base-backup:move-home:effect"), last(promoteAndKill, ask(topology.MethodRewind))}},
	"rewind:undo": {primary: true, stages: []stage{last(diverge, lockVault)}, mend: unlockVault},

	"base-backup": {primary: true, stages: []stage{last(diverge, ask(topology.MethodBaseBackup))}},
	"base-backup:stop-server": {primary: true, stages: []stage{last(diverge, startAsStandby,
		ask(topology.MethodBaseBackup))}},
	"base-backup:make-room": {primary: true, stages: []stage{
		replaced("base-backup:move-home:effect"), last()}},
	"base-backup:undo": {primary: true, stages: []stage{
		{do: []func(*bench){diverge, ask(topology.MethodBaseBackup)}, during: killCopy}}},

	"custom":             {primary: true, custom: true, stages: []stage{last(diverge)}},
	"custom:stop-server": {primary: true, custom: true, stages: []stage{last(diverge, startAsStandby)}},
	"custom:move-home": {primary: true, custom: true, stages: []stage{
		{do: []func(*bench){killLevel}, dies: "adopt:move-away:effect"}, last(ask(topology.MethodBaseBackup))}},
	"custom:undo": {primary: true, custom: true, stages: []stage{
		{do: []func(*bench){killLevel}, dies: "adopt:move-away:effect"},
		last(ask(topology.MethodBaseBackup), forbidSlots)}, mend: allowSlots},
	"custom:retire": {primary: true, custom: true, stages: []stage{
		{do: []func(*bench){killLevel}, dies: "adopt:move-away:effect"}, last(copyHome, ask(topology.MethodBaseBackup))}},
	"custom:discard-old": {primary: true, custom: true, stages: []stage{
		{do: []func(*bench){killLevel}, dies: "adopt:move-away:effect"}, last(copyHome, ask(topology.MethodBaseBackup))}},
}

// unreached are the points that no real run passes, and why: by the same names
// as ways. There is none now.
var unreached = map[string]string{}

// inner are the parts of a step that it passes only if it has something to do.
var inner = []string{"intent", "cleared", "marked", "progress", "effect"}

// point is a name of resync.AllPoints taken apart.
type point struct{ method, step, part string }

func parse(name string) point {
	p := strings.SplitN(name, ":", 3)
	return point{p[0], p[1], p[2]}
}

func (p point) inner() bool { return slices.Contains(inner, p.part) }

// key is the most special name under which ways or unreached may have it.
func (p point) key() string {
	if p.inner() || p.step == "undo" {
		return p.method + ":" + p.step
	}
	return p.method
}

// wayTo finds the way to a point, or the reason why there is none.
func wayTo(name string) (w way, reason string, ok bool) {
	p := parse(name)
	if why, is := unreached[p.key()]; is {
		return way{}, why, true
	}
	if w, ok = ways[p.key()]; !ok && p.step != "undo" {
		w, ok = ways[p.method]
	}
	return w, "", ok
}

// inRepairAt says that at this point the old directory has left its home, so that
// an external process must find nothing there that it could start, or a standby.
// Before, an old primary stands there as it was.
func (p point) inRepairAt() bool {
	switch topology.Method(p.method) {
	case topology.MethodStart, topology.MethodFollow:
		return false // it is a standby all the while
	case topology.MethodCustom:
		return false // what its command leaves at home is the operator's
	}
	if p.step == "undo" || p.step == "end" {
		return p.step == "end"
	}
	names := resync.Steps(topology.Method(p.method))
	at, left := slices.Index(names, p.step), slices.Index(names, "move-away")
	return at > left || at == left && (p.part == "effect" || p.part == "after")
}

// destructive says that at this point the directory is away from its place and
// being changed.
func (p point) destructive() bool {
	names := resync.Steps(topology.Method(p.method))
	at, left, home := slices.Index(names, p.step), slices.Index(names, "move-away"), slices.Index(names, "move-home")
	return left >= 0 && at >= left && at <= home
}
