// Package notify tells people what has happened to the pool: a node is missing, or
// none is any more; repool has given up on a node; Pgpool-II ignores requests;
// commits were lost and are kept in a vault.
//
// A Notifier is an audience of the controller. It finds news in what the controller
// publishes (watch) and compares it with what was told before, so that neither a
// restart nor a second look tells it twice. Each receiver (Command, Webhook) has a
// bounded queue and a goroutine that sends and retries: the controller never waits.
//
// Delivery is at least once. The webhook's signature follows the Standard Webhooks
// specification, version 1.
package notify
