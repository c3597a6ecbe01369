package sim

// edit replaces one piece of a real source file, which must hold it once.
type edit struct{ file, old, new string }

// mutant is a wrong build of repool: what a careless change could make of it.
type mutant struct {
	name string
	// promise is the one that its worlds must break.
	promise string
	edits   []edit
}

// one is a mutant of a single edit.
func one(name, promise, file, from, to string) mutant {
	return mutant{name, promise, []edit{{file, from, to}}}
}

// mutants are the wrong builds. Each is one thing that somebody might leave out
// or take for granted; a second edit takes away the net below it, where repool
// has two.
var mutants = []mutant{
	// Deciding.
	one("what is up counts as streaming", "P9", "core/plan/lineage.go",
		`return s.w.primary != nil && s.streamsFrom(s.w.primary) }`,
		`return s.w.primary != nil && s.sql && s.n.SQL.InRecovery }`),
	one("attach whatever streams, without the gate", "P1", "core/plan/gate.go",
		`code, why := s.gate()`, `code, why := codes.Code(""), ""`),
	{"go by timeline numbers, not by content", "P3", []edit{
		{"core/topology/lineage.go", `case !sameRecord(*probe.Last, *record):`, `case false:`},
		{"node/resync/steps_data.go", `(over || r.req.KeepOld):`, `false:`}}},
	{"an uncompared line is the primary's if its timelines fit", "P3", []edit{
		{"node/resync/steps_data.go", `|| p.Last == nil || r.req.ProvenTo == 0 {`, `|| p.Last == nil {`},
		{"node/resync/steps_data.go", `return p.Last.End <= r.req.ProvenTo ||`, `return !p.Open ||`}}},
	one("the vault of an uncompared line counts as all of it", "P3", "node/resync/steps_data.go",
		`case r.req.ProvenTo == 0:`, `case false:`),
	{"believe WAL that was received over another line's", "P3", []edit{
		{"core/plan/fork.go", `if f.DataID == "" || p == nil || s == p || f.Primary != p.n.ID {`, `if true {`},
		{"core/topology/lineage.go", `case probe.Overwritten != 0:`, `case false:`},
		{"node/resync/steps_data.go", `(over || r.req.KeepOld):`, `false:`}}},
	{"attach however far behind", "P1", []edit{
		{"core/plan/gate.go", `case s.lag() > s.w.pol.MaxLagBytes:`, `case false:`},
		{"core/plan/gate.go", `case f.Replay < s.m.Target:`, `case false:`}}},
	{"the first that accepts writes is the primary", "P1", []edit{
		{"core/plan/primary.go", `p, t := w.newest(own)`, `p, t := own[0], trouble{}`},
		{"core/plan/primary_memory.go", `if w.overtaken(p, h) {`, `if false {`},
		{"core/plan/primary_memory.go", `if w.established(p, h) || w.appointed(p, h) {`, `if true {`},
		{"core/plan/primary_memory.go", `if w.local == nil || w.local.Primary == p.n.ID || w.established(p, h) {`,
			`if true {`}}},
	one("what is attached and wrong stays attached", "P9", "core/plan/rules.go",
		`return w.primary != nil && (w.pool != differs`, `return false && (w.pool != differs`),
	{"a stream counts under pgpool.conf's spelling alone", "P12", []edit{
		{"core/topology/sender.go", `if id := senderBySlot(nodes, n); id != NoNode {`, `if id := NoNode; true {`},
		{"core/plan/memory.go", `case s.senderUnknown():`, `case false:`}}},
	one("from whom it streams is unknown, so it does not", "P12", "core/plan/memory.go",
		`case s.senderUnknown():`, `case false:`),
	one("of two primaries only a person can choose", "P9", "core/plan/contest.go",
		`q, missing := w.favoured(own)`, `q, missing := (*subject)(nil), "left to a person"`),
	one("the half-done marker is ignored in planning", "P9", "core/plan/lineage.go",
		`return s.agent && s.n.Agent.Run != nil && s.n.Agent.Run.Outcome.Ended() && s.n.Agent.Run.Damaged`, `return false`),
	// What no copy ends.
	one("a server that refuses its configuration has merely failed to start", "no copy in vain",
		"node/resync/errors.go", `out.Code = e.Code`,
		`if out.Code = e.Code; e.Code == codes.ServerConfig { out.Code = codes.StartFailed }`),
	{"nobody asks who uses the slot", "no copy in vain", []edit{
		{"core/plan/own.go", `if slot.Name == s.slot() && slot.Active {`, `if false && slot.Active {`},
		{"node/resync/streaming.go", `if err != nil || holder == "" {`,
			`if _, _ = err, holder; true {`}}},
	{"replay that stands still is failure", "no copy in vain", []edit{
		{"core/plan/own.go", `return s.sql && s.standbyUp() && s.upstreamRight() && s.n.SQL.Replaying()`,
			`return false`},
		{"node/resync/streaming.go", `case w.looks > 0 && 2*w.replaying > w.looks:`, `case false:`}}},
	// Acting.
	one("no confirmation of the upstream before overwriting", "P2", "node/resync/run.go",
		`if err := r.confirmUpstream(); err != nil {`, `if err := error(nil); err != nil {`),
	one("no clearance", "P2", "node/resync/run.go",
		`if err := r.waitClearance(s.Name); err != nil {`, `if err := error(nil); err != nil {`),
	one("no vault", "P3", "node/resync/steps_data.go",
		`return r.nothingToSave() },`, `return "", true, nil },`),
	one("discard what is not saved", "P3", "node/resync/steps_place.go",
		`if !r.state.record().Old.Enough() {`, `if false {`),
	one("wipe before copying", "P3", "node/resync/steps_data.go",
		`return "", r.Host.BaseBackup(`, `_ = r.Host.Remove(InRepair); return "", r.Host.BaseBackup(`),
	one("retire the old copy when the new one has started", "P9", "node/resync/steps_server.go",
		`if streams {`, `if streams || true {`),
	{"copy before the slot is there", "P5", []edit{
		{"node/resync/steps_check.go", `return "", r.Upstream.EnsureSlot(ctx, r.req.Upstream, r.req.Slot)`,
			`return "", nil`},
		{"node/resync/steps_data.go", `return "", r.Upstream.EnsureSlot(ctx, r.req.Upstream, r.req.Slot)`,
			`return "", nil`}}},
	one("start without standby.signal", "P4", "node/resync/steps_server.go",
		"\t\t\treturn \"\", r.Host.WriteStandby(p, r.req.Upstream, r.req.Slot, r.req.AppName)\n\t\t}}", "\t\t\t_ = "+
			"p\n\t\t\treturn \"\", nil\n\t\t}}"),
	one("keep the configuration of the node that was copied", "P4", "node/resync/steps_server.go",
		`return "", r.Host.RestoreConfig(p)`, `_ = p; return "", nil`),
	one("the damage is not marked", "P4", "node/resync/run.go",
		`rec.Repair, rec.Run.Damaged = journal.RepairDamaged, true })`,
		`rec.Repair, rec.Run.Damaged = journal.RepairWhole, false })`),
	one("a half-done directory goes home", "P4", "node/resync/end.go",
		`return home, err == nil && repair && r.state.repair() == journal.RepairWhole, err`,
		`return home, err == nil && repair, err`),
	{"what a dead agent started goes on", "P4", []edit{
		{"node/agent/agent.go", `if err := a.opts.Host.KillLeftovers(ctx); err != nil {`,
			`if err := error(nil); err != nil {`},
		{"node/resync/steps_check.go", `if err := r.Host.KillLeftovers(ctx); err != nil {`,
			`if err := error(nil); err != nil {`}}},
	one("a dead agent's run is waited for", "P9", "node/agent/agent.go",
		`if !rec.Live() {`, `if true {`),
	one("a standby keeps the slots of its time as the primary", nothingLeft, "core/plan/slots.go",
		`idle && !s.mayServe(of) {`, `false && idle && !s.mayServe(of) {`),
	// Being alone.
	one("act without the node's lock", "P6", "node/agent/agent.go",
		`if err := a.lock.Take(ctx, patience); err != nil {`, `if err := error(nil); err != nil {`),
	one("accept stale tokens", "P6", "node/agent/tokens.go",
		`case token < g.Token || token == 0:`, `case token == 0:`),
	one("give the same token twice", "P6", "node/agent/tokens.go",
		`Token: g.Token + 1,`, `Token: g.Token,`),
	// Promoting.
	one("promote the standby with the least WAL", "P3", "pgpool/hook/choose.go",
		`-cmp.Compare(a.facts.Position(), b.facts.Position()),`, `cmp.Compare(a.facts.Position(), b.facts.Position()),`),
	{"promote beside a living primary", "two writers", []edit{
		{"pgpool/hook/promote.go", `return a.Fence(long, token)`,
			`_, _ = long, token; return topology.Fenced{}, errors.New("left running")`},
		{"pgpool/hook/takeover.go", `if !fenced {`, `if !fenced && false {`}}},
	one("leave what a queued attach would show", "P1", "pgpool/hook/promote.go",
		`notes = append(notes, d.stopDiverged(ctx, p, node, f)...)`, `_ = d.stopDiverged`),
	one("promote whoever has the most WAL under synchronous replication", "acknowledged", "pgpool/hook/allow.go",
		`if rules.Synchronous != config.SyncNever {`, `if false {`),
	one("one answer of the synchronous standbys is enough", "acknowledged", "pgpool/hook/allow.go",
		`if len(members) < s.Answers() {`, `if len(members) < 1 {`),
	one("promote without asking who is the primary already", "two writers", "pgpool/hook/choose.go",
		`if rel == onLine || rel == ahead {`, `if false && rel == ahead {`),
}
