// Package certs creates and reads the certificates by which controllers and agents
// authenticate each other: a small authority (Init), certificates issued by it
// (Issue, Renew), and the TLS configurations of both sides (Files), from these or
// from an organisation's own certificates.
//
// A controller's certificate is for clients only and an agent's for servers only, so
// that a key stolen from a database host cannot give orders. Keys are written with
// mode 0600 and never leave the directory they are made in.
//
// The rule for callers: ask Files for a configuration for each connection. The files
// are reread when they have changed, so renewing needs no restart.
package certs
