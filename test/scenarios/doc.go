// Package scenarios holds the bad nights: each test builds a real pool with the
// lab, does one bad thing to it, and asserts how it ends. The names begin with
// the scenario's number, and the comments name the hazards and promises shown.
//
// There is no code here but tests; harness_test.go is what they share.
package scenarios
