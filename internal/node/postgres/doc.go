// Package postgres is how repool connects to PostgreSQL: one Login type, one
// way to turn it into a connection string or a driver configuration, one rule
// for the default socket directory, one query that asks a server who it is, and
// one sentence for a connection that failed.
//
// Connect and Login.Connect open a connection; a Keeper keeps one open for a
// moment for those who ask several things in a row. Identify asks a server for
// its role, system identifier, timeline and positions. Login.ConnInfo and
// Login.ToolConnInfo make the strings that libpq reads.
//
// Nothing here ever puts a password into a connection string: it comes from the
// passfile.
package postgres
