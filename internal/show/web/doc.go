// Package web is what `repool serve` shows over HTTP where controller.listen
// says so: /metrics, /healthz, /readyz and the page at /.
//
// New gives the handler. Everything it answers comes from what the controller has
// published, and from the history: no request asks a node or a Pgpool-II, so none
// waits for a dead one. Nothing here changes the pool; package page says who may.
//
// The health endpoints follow what service managers and load balancers expect:
// 200 is yes, 503 is no, and the body says why in one line.
package web
