// Package cli is the command line: one file a command, each with an options
// struct, a newXCommand that parses and a runX that works without cobra. It is
// also the one place that wires the parts together (wire.go).
//
// Results go to standard output, everything else to standard error; every
// command that prints state has --json; colour only on a terminal. Errors come
// back to main as values and are mapped to a message and an exit code in one
// place, internal/exit.
package cli
