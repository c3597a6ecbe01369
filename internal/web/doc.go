// Package web is what `repool serve` shows over HTTP where controller.listen
// says so: /metrics, /healthz, /readyz and the page at /.
//
// New gives the handler. Everything it answers comes from values that the
// controller has published: no request asks a node, a Pgpool-II or the store's
// writer, and so none waits for one that is dead. Nothing here changes the pool.
//
// The health endpoints follow what service managers and load balancers expect:
// 200 is yes, 503 is no, and the body says why in one line.
package web
