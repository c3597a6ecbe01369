package lab

// nodeProcs are the server processes that work in node i's data directory,
// also when the directory has been deleted under them. The postmaster, whose
// children the others are, comes first.
func (l *Lab) nodeProcs(i int) []proc {
	var ps []proc
	for _, p := range allProcs() {
		if p.exe() == "postgres" && p.cwd() == l.Nodes[i].DataDir {
			ps = append(ps, p)
		}
	}
	first := heads(ps)
	for _, p := range ps {
		isHead := false
		for _, h := range first {
			isHead = isHead || h.PID == p.PID
		}
		if !isHead {
			first = append(first, p)
		}
	}
	return first
}
