// Package pgpoolconf reads and edits pgpool.conf the way Pgpool-II itself does.
//
// Load gives a File: every byte of the main file and of what it includes, and
// every setting with its place. Typed getters and Pool turn settings into
// values; Unknown, Odd and Rejected say what Pgpool-II would ignore, misread or
// refuse. An Editor changes settings in place and writes them back.
//
// The one rule: text is accepted exactly when Pgpool-II's own lexer accepts it,
// also where that is surprising. What it accepts but hardly as meant (a missing
// value, an unquoted path) is marked in Setting.Odd, and the getters refuse it.
//
// The grammar follows src/config/pool_config.l, names, ranges and defaults
// src/config/pool_config_variables.c, of Pgpool-II 4.2 to 4.7 and the branch
// after it. A test holds both against the installed pgpool program.
package pgpoolconf
