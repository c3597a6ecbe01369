package check

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/dustin/go-humanize"

	"github.com/repool/repool/internal/config"
)

var dataChecks = []Check{
	{"agent", "the node's data directory can be looked at",
		"Only the agent on the node's own machine can repair its data.", checkAgent},
	{"mount-point", "mount points in the data directory",
		"A repair happens in a directory that has been moved away, where nothing can start a half-done server; what " +
			"is mounted within it cannot be moved or copied.", checkMount},
	{"tablespaces", "tablespaces",
		"A base backup makes its tablespaces beside those that are there, on the same file system, and swaps them.",
		checkTablespaces},
	{"odd-files", "odd or read-only files in the data directory",
		"A rewind or a base backup fails on sockets, unreadable or unwritable files, and mounts and links in the " +
			"place of PostgreSQL's own files.", checkOdd},
	{"own-files", "the node's own files in the data directory",
		"Logs, links, certificates and what people put there: every method keeps it as it is.", checkOwn},
	{"disk-space", "space for a copy beside the data directory",
		"The old directory is kept until the new one streams, so both need room.", checkSpace},
	{"work-directory", "the work directory",
		"Repairs, journal and vault are in it, on the data directory's own file system.", checkWorkDir},
	{"kept-copies", "replaced data directories that are kept",
		"A base backup keeps the directory that it replaces where not all that only it held could be saved. " +
			"repool never removes that one: it takes space, and a second one would end the next base backup.",
		checkKept},
	{"vault", "what is kept of lost commits",
		"Lost commits wait in the vault for a person; repool removes nothing from it.", checkVault},
}

var fileChecks = []Check{
	{"pgpass", "passwords for PostgreSQL", "Passwords come from this file only.", checkPGPass},
	{"pcppass", "passwords for PCP", "Passwords come from this file only.", checkPCPPass},
	{"state-directory", "the controller's state directory",
		"History, holds and the state that must survive a restart are kept there.", checkStateDir},
	{"certificates", "certificates for agents over TLS",
		"Once one has expired, agents cannot be reached and nothing is resynced.", checkCertificates},
	{"controller", "the controller runs", "Without it nodes that fail stay out.", checkController},
}

func sameDir(a, b string) bool {
	if filepath.Clean(a) == filepath.Clean(b) {
		return true
	}
	x, err := os.Stat(a)
	if err != nil {
		return false
	}
	y, err := os.Stat(b)
	return err == nil && os.SameFile(x, y)
}

func checkAgent(f *Facts, r *results) {
	for i := range f.Nodes {
		n := &f.Nodes[i]
		switch {
		case n.LocalErr != "":
			r.warn(Finding{Subject: n.Subject(), Found: n.LocalErr,
				Remedy: "repeat the check as the user that runs repool (sudo -u postgres repool check), or start the node's agent"})
		case n.Local != nil && !n.Local.Exists:
			r.warn(Finding{Subject: n.Subject(), Found: "there is no data directory at " + n.Local.Dir,
				Remedy: "repool plan   # shows what repool would do"})
		case n.Local != nil:
			r.ok(n.Subject(), "its data directory was inspected")
		}
	}
}

// eachLocal calls see for every data directory that could be inspected.
func (f *Facts) eachLocal(see func(n *NodeFacts, l *LocalFacts)) {
	for i := range f.Nodes {
		if n := &f.Nodes[i]; n.Local != nil && n.Local.Exists {
			see(n, n.Local)
		}
	}
}

func checkMount(f *Facts, r *results) {
	f.eachLocal(func(n *NodeFacts, l *LocalFacts) {
		switch {
		case len(l.MountsBelow) > 0:
			r.problem(Finding{Subject: n.Subject(),
				Found:  "something is mounted in it at " + strings.Join(l.MountsBelow, ", "),
				Remedy: "mount it elsewhere, and put a link (pg_wal) or a tablespace in its place"})
		case l.MountPoint:
			r.ok(n.Subject(), "a mount point: repairs happen within it")
		default:
			r.ok(n.Subject(), "none")
		}
	})
}

func checkTablespaces(f *Facts, r *results) {
	for i := range f.Nodes {
		n := &f.Nodes[i]
		switch {
		case n.Local != nil && len(n.Local.SpacesErr) > 0:
			r.problem(Finding{Subject: n.Subject(), Found: strings.Join(n.Local.SpacesErr, "; "),
				Remedy: "give the folder to the server's user: a copy is made in it"})
		case len(n.SQL.Tablespaces) > 0:
			r.ok(n.Subject(), strings.Join(n.SQL.Tablespaces, ", "))
		case n.Local != nil && n.Local.Tablespaces > 0:
			r.ok(n.Subject(), fmt.Sprintf("%d tablespaces", n.Local.Tablespaces))
		case n.SQL.OK() || n.Local != nil && n.Local.Exists:
			r.ok(n.Subject(), "none")
		}
	}
}

func checkOdd(f *Facts, r *results) {
	f.eachLocal(func(n *NodeFacts, l *LocalFacts) {
		if len(l.Odd) == 0 {
			r.ok(n.Subject(), "none")
			return
		}
		shown := l.Odd[:min(len(l.Odd), 5)]
		found := strings.Join(shown, "; ")
		if more := len(l.Odd) - len(shown); more > 0 {
			found += fmt.Sprintf("; and %d more", more)
		}
		r.warn(Finding{Subject: n.Subject(), Found: found,
			Remedy: "move them out of " + l.Dir + ", or give them to the server's user with mode 600"})
	})
}

func checkOwn(f *Facts, r *results) {
	f.eachLocal(func(n *NodeFacts, l *LocalFacts) {
		if len(l.Lost) > 0 {
			r.problem(Finding{Subject: n.Subject(), Found: "a new copy could not keep " + strings.Join(l.Lost, "; "),
				Remedy: "in " + l.Dir + ": replace links by what they point to, move files of other owners out, or " +
					"chown them to the server's user"})
			return
		}
		if len(l.Own) == 0 {
			r.ok(n.Subject(), "nothing but the configuration")
			return
		}
		shown := strings.Join(l.Own[:min(len(l.Own), maxOwn)], ", ")
		if more := len(l.Own) - maxOwn; more > 0 {
			shown += fmt.Sprintf(" and %d more", more)
		}
		r.ok(n.Subject(), "kept by every method: "+shown)
	})
}

// maxOwn is how many names of own files are shown.
const maxOwn = 10

func checkSpace(f *Facts, r *results) {
	p := f.Primary()
	f.eachLocal(func(n *NodeFacts, l *LocalFacts) {
		need := max(l.DataBytes, n.SQL.DatabaseBytes) + l.WALBytes
		if p != nil {
			need = max(need, p.SQL.DatabaseBytes+l.WALBytes)
		}
		need += f.Pool.Policy.SpaceHeadroom
		text := fmt.Sprintf("%s free beside %s, %s needed for a copy", humanize.IBytes(l.FreeBytes), l.Dir,
			humanize.IBytes(need))
		if l.FreeBytes >= need {
			r.ok(n.Subject(), text)
			return
		}
		r.problem(Finding{Subject: n.Subject(), Found: text,
			Remedy: fmt.Sprintf("free %s there, or move the data and the work directory to a larger file system",
				humanize.IBytes(need-l.FreeBytes))})
	})
}

func checkWorkDir(f *Facts, r *results) {
	f.eachLocal(func(n *NodeFacts, l *LocalFacts) {
		if l.WorkDirErr == "" {
			r.ok(n.Subject(), "can be created")
			return
		}
		r.problem(Finding{Subject: n.Subject(), Found: l.WorkDirErr,
			Remedy: fmt.Sprintf("install -d -o postgres -g postgres -m 700 %s   # on the data directory's file system, in a "+
				"folder that postgres may write in", n.Conf.WorkDir)})
	})
}

func checkPGPass(f *Facts, r *results) {
	logins := func(login func(*NodeFacts) LoginResult) bool {
		for i := range f.Nodes {
			l := login(&f.Nodes[i])
			if !f.Nodes[i].SQL.Refused && !l.Away && !l.OK() {
				return false
			}
		}
		return true
	}
	passfile(r, f.Files.PGPass, logins(func(n *NodeFacts) LoginResult { return n.SQL.LoginResult }))
	if f.Files.ReplicationPass.Path != f.Files.PGPass.Path || f.Pool.Replication.User != f.Pool.Database.User {
		passfile(r, f.Files.ReplicationPass, logins(func(n *NodeFacts) LoginResult { return n.Replication }))
	}
}

func checkPCPPass(f *Facts, r *results) { passfile(r, f.Files.PCPPass, f.Pgpool.PCP.OK()) }

// passfile judges a password file. works says that the logins succeed: then a
// missing line is not a problem (certificates, or a trusted address).
func passfile(r *results, p Passfile, works bool) {
	found := Finding{Subject: "files", At: p.Path, Remedy: "repool setup --apply"}
	switch {
	case p.Err != "":
		found.Found, found.Remedy = p.Err, "chmod 600 "+p.Path
		r.problem(found)
	case works:
		r.ok("files", p.Path+" has what is needed")
	case !p.Exists:
		found.Found = "there is no such file"
		r.problem(found)
	case len(p.Without) > 0:
		found.Found = "it has no line for " + strings.Join(p.Without, ", ")
		r.problem(found)
	default:
		r.ok("files", p.Path+" has a line for each; the login checks show whether the passwords are right")
	}
}

func checkStateDir(f *Facts, r *results) {
	if f.Files.StateDirErr == "" {
		r.ok("controller", f.Files.StateDir+" is writable")
		return
	}
	r.problem(Finding{Subject: "controller", Found: f.Files.StateDir + ": " + f.Files.StateDirErr,
		Remedy: fmt.Sprintf("install -d -o %s -g %s -m 700 %s", f.Pgpool.User.Name, f.Pgpool.User.Name, f.Files.StateDir)})
}

func checkController(f *Facts, r *results) {
	switch c := f.Controller; {
	case c.Running && c.Acting:
		r.ok("controller", "runs and acts")
	case c.Running:
		r.ok("controller", "runs but does not act: "+c.Why)
	default:
		r.warn(Finding{Subject: "controller", Found: c.Why, Remedy: "systemctl enable --now repool"})
	}
}

// checkVault reports lost commits that wait for a person, and a vault that has
// outgrown vault.max_bytes.
func checkKept(f *Facts, r *results) {
	f.eachLocal(func(n *NodeFacts, l *LocalFacts) {
		k := l.Kept
		beside := fmt.Sprintf("vault %s, journal %s", humanize.IBytes(k.Vault), humanize.IBytes(k.Journal))
		switch {
		case k.WorkDir == "": // its agent has not measured yet
		case k.OldUnsaved:
			dir := filepath.Join(k.WorkDir, "old")
			r.warn(Finding{Subject: n.Subject(),
				Found: fmt.Sprintf("%s holds %s: not all that only it held is in the vault", dir,
					humanize.IBytes(k.Old)),
				Remedy: fmt.Sprintf("rm -r -- '%s'   # on the node's host, once you know that nothing in it is "+
					"needed: it may hold commits that are nowhere else", dir)})
		case k.Old+k.InRepair+k.Trash > 0:
			r.ok(n.Subject(), fmt.Sprintf("%s that repool removes by itself, %s",
				humanize.IBytes(k.Old+k.InRepair+k.Trash), beside))
		default:
			r.ok(n.Subject(), "none; "+beside)
		}
	})
}

func checkVault(f *Facts, r *results) {
	f.eachLocal(func(n *NodeFacts, l *LocalFacts) {
		if n.Conf.Agent.Kind != config.AgentLocal {
			return // the check on its own host reports it
		}
		var bytes uint64
		commits := 0
		for _, e := range l.Vault {
			bytes += e.Bytes
			commits += e.Commits
		}
		found := fmt.Sprintf("%d entries, %d lost commits, %s", len(l.Vault), commits, humanize.IBytes(bytes))
		if f.Pool.VaultMax > 0 && bytes > f.Pool.VaultMax {
			r.warn(Finding{Subject: n.Subject(), Found: found + ", more than vault.max_bytes",
				Remedy: "look at the reports (repool vault), and remove the entries in " + n.Conf.VaultDir +
					" that are no longer needed"})
			return
		}
		r.ok(n.Subject(), found)
	})
}
