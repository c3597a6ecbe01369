// Package page is what a person sees of a pool in a browser: the live page at
// /, the story of a run at /runs/ID, the same as JSON under /api/v1, and, only
// where repool.yaml has a login for it, actions at /act.
//
// New gives the handler of all of them. What is shown is view.Of's View and nothing
// else; the server renders it (html/template), and the page's small script only
// replaces the sections that have changed. Without the script the page is complete
// and reloads itself. Nothing in it comes from another host.
//
// Reading needs no login: whoever reaches the address may see what `repool
// status` says. Everything that changes something needs a session, its token,
// and a request from this very site.
package page
