package dbhost

import (
	"encoding/csv"
	"encoding/json"
	"regexp"
	"slices"
	"strings"
)

// said is one message of a server's log. A program's own, which names no
// severity, counts as FATAL and is unnamed.
type said struct {
	severity, message string
	unnamed           bool
}

// severity finds a message in a line of a log on stderr, behind any
// log_line_prefix.
var severity = regexp.MustCompile(`(?:^|[\s\]])(LOG|WARNING|ERROR|FATAL|PANIC|HINT|DETAIL|CONTEXT):  (.*)$`)

// plainError finds what a program says without a severity: the server before it
// has read its configuration, the dynamic linker, and Debian's pg_ctlcluster.
var plainError = regexp.MustCompile(`^(?:(?:\S*/)?postgres: .*|Error: .*)$`)

// quoting finds lines in which a program repeats the command or the log that
// failed, and so says nothing of its own.
var quoting = regexp.MustCompile(`pg_ctl .*exited with status|^pg_ctl: could not start server|could not start server`)

// parseLog reads the messages of a log in any of PostgreSQL's three formats.
// What a message does not say in its first line is left out.
func parseLog(text string) []said {
	var all []said
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\r\n")
		if s, ok := structured(line); ok {
			all = append(all, s)
		} else if m := severity.FindStringSubmatch(line); m != nil {
			all = append(all, said{severity: m[1], message: strings.TrimSpace(m[2])})
		} else if plainError.MatchString(line) && !quoting.MatchString(line) {
			all = append(all, said{"FATAL", line, true})
		}
	}
	return all
}

// structured reads a line of a csvlog or jsonlog.
func structured(line string) (said, bool) {
	if strings.HasPrefix(line, "{") {
		var j struct {
			Severity string `json:"error_severity"`
			Message  string `json:"message"`
		}
		err := json.Unmarshal([]byte(line), &j)
		return said{severity: j.Severity, message: j.Message}, err == nil && j.Severity != ""
	}
	const severityField, messageField = 11, 13
	if strings.Count(line, ",") < messageField {
		return said{}, false
	}
	rec, err := csv.NewReader(strings.NewReader(line)).Read()
	if err != nil || len(rec) <= messageField || !slices.Contains([]string{"LOG", "WARNING", "FATAL", "PANIC"},
		rec[severityField]) {
		return said{}, false
	}
	return said{severity: rec[severityField], message: rec[messageField]}, true
}

// sessions are FATAL messages of clients and of the WAL receiver, which end no server.
var sessions = regexp.MustCompile(`^(the database system is |terminating |could not connect to the primary|` +
	`could not start WAL streaming|could not receive |streaming replication |highest timeline |password |` +
	`no pg_hba\.conf entry|role "|database "|sorry, too many|remaining connection slots|canceling |connection |` +
	`pg_hba\.conf rejects|primary server contains no more|database system identifier differs)`)

// recoveryOwn are the reasons of a server's own that only its startup process
// finds: with any other the data are suspect.
var recoveryOwn = regexp.MustCompile(`recovery command file|insufficient parameter settings|` +
	`restore_command|could not restore file .* from archive|resource manager with ID \d+ not registered|` +
	`could not access file|could not load library`)

// panicOwn is the one PANIC that a setting ends: allow_in_place_tablespaces.
var panicOwn = regexp.MustCompile(`^unexpected directory entry ".*" found in pg_tblspc`)

// dataFaults are messages of the postmaster itself that are about the data.
var dataFaults = regexp.MustCompile(`control file|pg_control|database files are incompatible|` +
	`not a valid data directory|could not find the database system|lock file "postmaster\.pid"`)

// startupDied says that the server gave up because its startup process did.
var startupDied = regexp.MustCompile(`^startup process \(PID \d+\)|^aborting startup due to startup process failure`)

// leading are messages that say more of the cause than the FATAL one they precede.
var leading = regexp.MustCompile(`in file "|configuration file|could not |invalid |parameter |not permitted`)

// ownReason is why a server does not start, where that is its configuration or
// something on its host that the configuration names, and not its data: then a
// copy of the data ends nothing. It is the server's own messages, those of which
// name file and line first; nil where the reason is another one or is not known.
// Messages that are translated (lc_messages) are not understood.
func ownReason(log []said) []string {
	died := slices.ContainsFunc(log, func(s said) bool { return startupDied.MatchString(s.message) })
	var reason []string
	add := func(s said) {
		line := s.severity + ": " + s.message
		if s.unnamed {
			line = s.message
		}
		if !slices.Contains(reason, line) {
			reason = append(reason, line)
		}
	}
	fatal := false
	for i, s := range log {
		switch {
		case s.severity == "PANIC" && !panicOwn.MatchString(s.message):
			return nil
		case s.severity == "LOG" || s.severity == "WARNING":
			if leading.MatchString(s.message) && !startupDied.MatchString(s.message) {
				add(s)
				addHint(log[i+1:], add)
			}
		case s.severity == "PANIC":
			add(s)
			addHint(log[i+1:], add)
			return reason
		case s.severity != "FATAL" || sessions.MatchString(s.message):
		case dataFaults.MatchString(s.message), died && !recoveryOwn.MatchString(s.message):
			return nil
		default:
			fatal = true
			add(s)
			addHint(log[i+1:], add)
		}
	}
	if !fatal {
		return nil
	}
	return reason[max(0, len(reason)-maxReason):]
}

// maxReason is how many messages a reason has at most.
const maxReason = 8

// addHint adds what belongs to the message before.
func addHint(rest []said, add func(said)) {
	for _, s := range rest {
		if s.severity != "HINT" && s.severity != "DETAIL" && s.severity != "CONTEXT" {
			return
		}
		add(s)
	}
}

// remedies say what a person can do about a reason; the first that matches counts.
var remedies = []struct {
	of *regexp.Regexp
	do string
}{
	{regexp.MustCompile(`recovery command file`),
		"move recovery.conf out of the data directory: this release of PostgreSQL refuses to start with it"},
	{regexp.MustCompile(`could not bind|any TCP/IP sockets|any Unix-domain sockets|lock file ".*\.s\.PGSQL`),
		"find what uses the server's port or socket (ss -ltnxp), and stop it or correct port"},
	{regexp.MustCompile(`invalid permissions|wrong ownership`),
		"correct owner and mode of the data directory, as the server's message says"},
	{regexp.MustCompile(`allow_in_place_tablespaces`),
		"set allow_in_place_tablespaces = on, as on the node that made them"},
	{regexp.MustCompile(`certificate|private key|root\.crt|ssl_`),
		"put the file in place that the message names, or correct the ssl settings"},
	{regexp.MustCompile(`in file "|contains errors|invalid value|unrecognized`),
		"correct the line that the message names"},
	{regexp.MustCompile(`could not access file|could not load library`),
		"install the library that the message names, or take it out of shared_preload_libraries"},
	{regexp.MustCompile(`restore`), "correct restore_command: the shell cannot run it, or a signal ends it"},
}

// remedy is what to do about a reason; empty: what the code says.
func remedy(reason []string) string {
	text := strings.Join(reason, "\n")
	for _, r := range remedies {
		if r.of.MatchString(text) {
			return r.do
		}
	}
	return ""
}
