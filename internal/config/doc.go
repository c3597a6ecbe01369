// Package config is repool.yaml: its types, defaults, strict loading and
// validation with file and line. Everything about nodes that pgpool.conf
// already says is read from there; repool.yaml adds only what it cannot say.
// No file at all works for Pgpool-II on the same host as its nodes.
package config
