// Package command is the command line of repool-lab: a real pool to try repool on
// (up, down, status, fault), and the demo, the bench and the chaos that build one
// for themselves. One file a command, as in internal/cli.
//
// The pools run the product's own program for controllers, agents and hooks:
// findRepool says which.
package command
