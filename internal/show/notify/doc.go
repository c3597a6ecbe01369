// Package notify tells people that something has happened to the pool: that it
// is short of a node, and no more; that repool has given up on a node; that
// commits were lost and are kept in a vault.
//
// A Notifier is an audience of the controller. What is to be told is found in
// what the controller publishes (watch), and is compared with what was told
// already, so that neither a restart nor a second look tells it twice. Each
// receiver (Command, Webhook) has a queue of its own, bounded, and a goroutine
// that sends and tries again: the controller never waits for one.
//
// An event is told at least once. The webhook's signature follows the Standard
// Webhooks specification, version 1.
package notify
