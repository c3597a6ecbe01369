// Package terminal is what repool's programs share to speak to a person or a
// script: the frame of a command line (Setup, Run), arguments checked against the
// line that documents them (Args), errors with a hint, tables and JSON.
//
// Results go to standard output, everything else to standard error. A command
// returns its error; Run alone prints it and turns it into an exit status.
package terminal
