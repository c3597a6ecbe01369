// Package certs makes and reads the certificates by which controllers and agents
// know each other: a small authority of one's own (Init), certificates of hosts
// from it (Issue, Renew), and the TLS configurations of both sides (Files), from
// these or from given ones.
//
// A controller's certificate is for clients only and an agent's for servers
// only, so that a key stolen from a database host gives no orders. Keys are
// written with mode 0600 and never leave the directory they are made in.
//
// The rule for callers: ask Files for a configuration for each connection; the
// files are read again when they have changed, so renewing needs no restart.
package certs
