package pgpoolconf

import "strings"

// Expand puts values in place of the placeholders of a hook command, as
// Pgpool-II does: %d becomes values['d'], %% a percent sign; a letter without
// value vanishes, and so does a percent sign at the very end. Values are put in
// unchanged: the shell reads what is in them.
func Expand(command string, values map[byte]string) string {
	var b strings.Builder
	for i := 0; i < len(command); i++ {
		if command[i] != '%' {
			b.WriteByte(command[i])
			continue
		}
		if i++; i == len(command) {
			break
		}
		if command[i] == '%' {
			b.WriteByte('%')
			continue
		}
		b.WriteString(values[command[i]])
	}
	return b.String()
}

// Placeholder is one placeholder in a hook command.
type Placeholder struct {
	Letter byte
	// Quote is the shell quote around it: '"', '\'' or 0. Without one an empty
	// value shifts the arguments that follow, and a blank splits them.
	Quote byte
}

// Placeholders returns the placeholders of a command, in their order.
func Placeholders(command string) []Placeholder {
	var out []Placeholder
	var quote byte
	for i := 0; i < len(command); i++ {
		switch c := command[i]; {
		case c == '%' && i+1 < len(command):
			if command[i+1] != '%' {
				out = append(out, Placeholder{Letter: command[i+1], Quote: quote})
			}
			i++
		case c == '\\' && quote != '\'' && i+1 < len(command) && command[i+1] != '%':
			i++ // the shell takes the next byte as it is
		case quote == 0 && (c == '"' || c == '\''):
			quote = c
		case c == quote:
			quote = 0
		}
	}
	return out
}
