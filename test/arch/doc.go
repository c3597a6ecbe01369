// Package arch holds the program's shape by tests alone: which package may
// import which, and what the pure ones may not touch. It has no code.
//
// The table in arch_test.go is the architecture in the order of its layers. A
// package that is not in it fails the test, as does an import that is not. If an
// import seems to be missing there, the type is usually in the wrong place: move
// it down, or declare a small interface where it is used.
package arch
