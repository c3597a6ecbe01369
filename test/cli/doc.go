// Package cli holds the tests of repool's command line as a user meets it: the
// real program, run by the scripts in testdata/script, each about one kind of
// input that is wrong or missing.
//
// A script says what must be printed, which exit status it ends with, and that
// nothing on disk was changed. Beside testscript's own commands there are those
// of main_test.go: exits, json, remember and unchanged, and babble, a peer that
// talks nonsense. REPOOL_BIN names the program to test; without it, it is built.
package cli
