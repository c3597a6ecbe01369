// Package exit holds repool's exit statuses, and the error that carries one
// from the place where something went wrong to main.
//
// Error wraps another error with a status and with what a person can do; Code is
// the one function that turns any error into a status. The rule: a status, once
// given out, keeps its meaning for ever, since hooks and scripts test it. The
// table for users is docs/exit-codes.md.
package exit
