package pgpoolconf

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// ResyncCommand is repool's own setting in pgpool.conf, which Pgpool-II ignores.
const ResyncCommand = "resync_command"

// renamed maps a name to what stands in its place in the versions without it.
var renamed = map[string]string{
	"follow_master_command":      "follow_primary_command",
	"master_slave_mode":          "backend_clustering_mode",
	"master_slave_sub_mode":      "backend_clustering_mode",
	"other_pgpool_hostname":      "hostname",
	"other_pgpool_port":          "pgpool_port",
	"other_wd_port":              "wd_port",
	"wd_hostname":                "hostname",
	"wd_heartbeat_port":          "heartbeat_port",
	"heartbeat_destination":      "heartbeat_hostname",
	"heartbeat_destination_port": "heartbeat_port",
	"white_function_list":        "read_only_function_list",
	"black_function_list":        "write_function_list",
	"print_timestamp":            "log_line_prefix",
	"socket_dir":                 "unix_socket_directories",
	"unix_socket_directories":    "socket_dir",
	"work_dir":                   "logdir",
}

// find returns the known parameter that Pgpool-II takes the name for, and its
// index, -1 without one. A name that begins with an array's name is taken for
// that array, whatever follows; then a bad index is an error.
func find(name string) (*parameter, int, error) {
	for i := range parameters {
		p := &parameters[i]
		if p.indexes == 0 {
			if p.name == name {
				return p, -1, nil
			}
			continue
		}
		digits, ok := strings.CutPrefix(name, p.name)
		if !ok {
			continue
		}
		if digits == "" {
			if !p.bare {
				return p, -1, fmt.Errorf("%s needs an index", name)
			}
			return p, -1, nil
		}
		if strings.Trim(digits, "0123456789") != "" {
			return p, -1, fmt.Errorf("%s begins like %s, so %q is taken for its index, which has to be a number", name, p.name,
				digits)
		}
		// The value Pgpool-II calls the limit is one past its array.
		index, err := strconv.Atoi(digits)
		if err != nil || index >= p.indexes {
			return p, -1, fmt.Errorf("index of %s is above %d", name, p.indexes-1)
		}
		return p, index, nil
	}
	return nil, -1, nil
}

// canonical is the name under which settings of one parameter meet.
func canonical(name string) (string, error) {
	p, index, err := find(name)
	if err != nil || p == nil || index < 0 {
		return name, err
	}
	return p.name + strconv.Itoa(index), nil
}

// indexHint is the remedy for a name that find refuses.
func indexHint(name string) string {
	p, _, _ := find(name)
	if p == nil {
		return ""
	}
	if name == p.name {
		return fmt.Sprintf("write %s0 for the first", p.name)
	}
	return fmt.Sprintf("write %s0 to %s%d, or give a setting of your own another beginning", p.name, p.name, p.indexes-1)
}

// UnknownSetting is a setting that Pgpool-II ignores with a message that hardly
// anybody sees.
type UnknownSetting struct {
	Setting
	// Suggestion is the known name that was likely meant; may be empty.
	Suggestion string
}

// Unknown lists the settings that this version of Pgpool-II does not know; the
// zero Version stands for all from 4.2 on. repool's own are not among them.
func (f *File) Unknown(v Version) []UnknownSetting {
	var out []UnknownSetting
	suggested := map[string]string{}
	for _, set := range f.settings {
		if set.Name == ResyncCommand {
			continue
		}
		if p, _, _ := find(set.Name); p != nil && p.in(v) {
			continue
		}
		near, ok := suggested[set.Name]
		if !ok {
			near = suggest(set.Name, v)
			suggested[set.Name] = near
		}
		out = append(out, UnknownSetting{Setting: set, Suggestion: near})
	}
	return out
}

// in tells whether that version has the parameter.
func (p *parameter) in(v Version) bool {
	if v == (Version{}) || v.Major != 4 {
		return true
	}
	return v.Minor >= p.since && (p.until == 0 || v.Minor <= p.until)
}

// suggest returns the known name closest to a wrong one, or nothing when none
// is near.
func suggest(name string, v Version) string {
	base := strings.TrimRight(name, "0123456789")
	index := name[len(base):]
	if now, ok := renamed[base]; ok {
		if p, _, _ := find(now + index); p != nil {
			return now + index
		}
		return now
	}
	best, limit := "", 1+len(base)/5
	for _, p := range slices.Concat(parameters, []parameter{{name: ResyncCommand}}) {
		if !p.in(v) {
			continue
		}
		if d := distance(strings.ToLower(base), strings.ToLower(p.name), limit); d <= limit && (best == "" || d < limit) {
			best, limit = p.name, d
			if p.indexes > 0 {
				best += index
			}
		}
	}
	return best
}

// distance counts the single-byte changes between a and b; above limit it may
// return any number above limit.
func distance(a, b string, limit int) int {
	if len(a)-len(b) > limit || len(b)-len(a) > limit {
		return limit + 1
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j+1]+1, row[j]+1)
		}
	}
	return row[len(b)]
}
