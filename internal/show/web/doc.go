// Package web is what `repool serve` shows over HTTP where controller.listen
// says so: /metrics, /healthz, /readyz and the page at /.
//
// New gives the handler. Everything it answers comes from values that the
// controller has published, and the page's past from the history: no request
// asks a node or a Pgpool-II, and so none waits for one that is dead. Nothing
// here changes the pool; package page says who may.
//
// The health endpoints follow what service managers and load balancers expect:
// 200 is yes, 503 is no, and the body says why in one line.
package web
