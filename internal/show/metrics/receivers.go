package metrics

// Receiver counts the notifications of one receiver since the start.
type Receiver struct {
	Name string
	// Sent counts events, Failed attempts, Lost events that were given up or did not
	// fit into the queue.
	Sent, Failed, Lost uint64
	Queued             int
}

type receiverFamilies struct{ sent, failed, lost, queued *family }

func newReceiverFamilies(f *families) receiverFamilies {
	return receiverFamilies{
		sent: f.counter("repool_notifications_sent_total",
			"Notifications delivered to the receiver (on_event or webhook).", "receiver"),
		failed: f.counter("repool_notification_failures_total",
			"Failed attempts to deliver a notification; each is retried.", "receiver"),
		lost: f.counter("repool_notifications_lost_total", "Notifications given up, or dropped because the queue was full.",
			"receiver"),
		queued: f.gauge("repool_notifications_queued", "Notifications waiting for the receiver.", "receiver"),
	}
}

func (f *receiverFamilies) collect(s sink, receivers []Receiver) {
	for _, r := range receivers {
		s.put(f.sent, float64(r.Sent), r.Name)
		s.put(f.failed, float64(r.Failed), r.Name)
		s.put(f.lost, float64(r.Lost), r.Name)
		s.put(f.queued, float64(r.Queued), r.Name)
	}
}
