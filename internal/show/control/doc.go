// Package control is the controller's local API: JSON over HTTP on a unix socket
// that only the controller's own user may open. Hooks use it to say "look now" or to
// request an online recovery; commands use it to read the status and to hold,
// release or resync a node.
//
// Client is for callers, NewHandler for the controller. The socket allows nothing
// that its user could not do by hand, so there is no password.
package control
