// Package hook is what pgpool.conf calls: failover, follow-primary, resync, and
// the scripts of online recovery. A promotion needs nothing but this package,
// PostgreSQL and, where they answer, the agents: the controller may be dead.
//
// Event is what Pgpool-II said, ParseArgs reads it from either order of
// arguments in use. Failover promotes the standby with the most WAL; choose is
// its pure half. Every event is in the spool on disk before anything is done
// about it, so that a hook killed half way is finished by the controller
// (Pending, Resume).
//
// The rules: Prepare comes first in a hook's process; every wait has a bound, since
// Pgpool-II waits for its hooks for ever and serves nobody meanwhile; nothing
// long-lived is started; everything is idempotent.
package hook
