package check

import (
	"fmt"
	"regexp"
	"strings"
)

var archiveChecks = []Check{
	{"archive", "a WAL archive that overwrites",
		"Two nodes that were promoted apart can use one timeline number. Then an archive that overwrites has the WAL " +
			"of one under the other's file names, and whatever restores from it gets rows of the wrong line.",
		checkArchive},
}

var (
	// copies are the commands that put a file over an existing one without a word.
	copies = regexp.MustCompile(`(^|[\s;&|/('"])(cp|mv|scp|rsync|dd|install|gzip|pigz|zstd|lz4|xz|bzip2|tee|cat|` +
		`aws|gsutil|s3cmd|rclone|curl)\s`)
	// careful is what makes such a command fail where the archive has the file.
	careful = regexp.MustCompile(`(\btest|\[\[?)\s+(!\s+)?-[ef]\s|\bset\s+-\w*C|noclobber|--if-none-match`)
	// skips is what makes it succeed without having archived anything.
	skips = regexp.MustCompile(`(\btest|\[\[?)\s+-[ef]\s+\S+\s*(\]\]?)?\s*\|\||\b(cp|mv)\s+(-\S+\s+)*-\w*n|` +
		`--no-clobber|--ignore-existing|--immutable`)
	// archivers refuse another content under a name that they have.
	archivers = regexp.MustCompile(`\b(pgbackrest|barman-wal-archive|barman-cloud-wal-archive|pg_probackup)\b`)
	// walG overwrites unless it is told not to.
	walG = regexp.MustCompile(`\bwal-[ge]\b`)
	// target is the word that names the file in the archive.
	target = regexp.MustCompile(`["']?(/[^\s"'|;&>]*%f[^\s"'|;&>]*)`)
)

// archiving is what an archive_command does with a file that the archive has.
type archiving int

const (
	archivingUnknown archiving = iota
	archivingRefuses
	archivingSkips
	archivingOverwrites
	archivingByOption // wal-g: only with WALG_PREVENT_WAL_OVERWRITE
)

func judgeArchive(command string) archiving {
	switch {
	case archivers.MatchString(command):
		return archivingRefuses
	case walG.MatchString(command):
		if strings.Contains(command, "WALG_PREVENT_WAL_OVERWRITE=true") {
			return archivingRefuses
		}
		return archivingByOption
	case skips.MatchString(command):
		return archivingSkips
	case careful.MatchString(command):
		return archivingRefuses
	case copies.MatchString(command + " "):
		return archivingOverwrites
	}
	return archivingUnknown
}

func checkArchive(f *Facts, r *results) {
	f.each("settings", r, func(n *NodeFacts) {
		s := n.SQL.Settings
		command, restores := s["archive_command"], s["restore_command"] != ""
		reads := ""
		if restores {
			reads = "; its restore_command prefers the archive to the primary's stream"
		}
		switch {
		case s["archive_mode"] == "" || s["archive_mode"] == "off":
			if restores {
				r.ok(n.Subject(), "archives nothing"+reads)
				return
			}
			r.ok(n.Subject(), "no archive")
		case s["archive_library"] != "":
			r.ok(n.Subject(), "archives through "+s["archive_library"]+"; whether it refuses to overwrite cannot be "+
				"told from here"+reads)
		case command == "" || command == "(disabled)":
			r.ok(n.Subject(), "archive_mode is on, without a command"+reads)
		default:
			archiveCommand(n, r, command, reads)
		}
	})
}

func archiveCommand(n *NodeFacts, r *results, command, reads string) {
	switch judgeArchive(command) {
	case archivingRefuses:
		r.ok(n.Subject(), "archive_command refuses to overwrite"+reads)
	case archivingOverwrites:
		r.warn(Finding{Subject: n.Subject(), Remedy: carefulArchive(command),
			Found: "archive_command overwrites what the archive has: " + command + reads})
	case archivingSkips:
		r.warn(Finding{Subject: n.Subject(),
			Found: "archive_command archives nothing and succeeds, where the archive has a file of that name: " +
				command + reads,
			Remedy: "let archive_command fail there (test ! -f …), on every node"})
	case archivingByOption:
		r.warn(Finding{Subject: n.Subject(),
			Found: "archive_command overwrites what the archive has, unless wal-g's own configuration forbids it" +
				reads,
			Remedy: "set WALG_PREVENT_WAL_OVERWRITE=true where wal-g reads its configuration, on every node"})
	default:
		r.ok(n.Subject(), "whether archive_command refuses to overwrite cannot be told from here: "+command+reads)
	}
}

// carefulArchive is the command with PostgreSQL's own test before it.
func carefulArchive(command string) string {
	m := target.FindStringSubmatch(command)
	if m == nil {
		return "let archive_command fail where the archive has the file already, on every node"
	}
	safe := "test ! -f " + m[1] + " && " + command
	return fmt.Sprintf("ALTER SYSTEM SET archive_command = '%s'; SELECT pg_reload_conf();   -- on every node",
		strings.ReplaceAll(safe, "'", "''"))
}
