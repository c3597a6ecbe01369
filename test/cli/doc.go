// Package cli holds the tests of the command lines as a user meets them: the
// real programs, run by the scripts in testdata/script, each about one kind of
// input that is wrong or missing.
//
// A script says what must be printed, which exit status it ends with, and that
// nothing on disk was changed. Beside testscript's own commands there are those
// of main_test.go: exits, json, remember and unchanged, and babble, a peer that
// sends anything. Those beside REPOOL_BIN are tested; without it, they are built.
package cli
