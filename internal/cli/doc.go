// Package cli is the command line of repool. It parses and prints: each command is
// one file with an options struct, a newXCommand that parses and a runX that works
// without cobra. What a command does is in internal/app, or asked of the running
// controller (internal/show/control).
//
// Results go to standard output, everything else to standard error; every command
// that prints state has --json. Errors carry their exit status (internal/exit);
// internal/terminal prints them.
package cli
