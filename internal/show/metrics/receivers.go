package metrics

// Receiver is the account of one receiver of notifications since the start.
type Receiver struct {
	Name string
	// Sent counts events, Failed attempts, Lost the events that were given up or
	// had no room in the queue.
	Sent, Failed, Lost uint64
	Queued             int
}

type receiverFamilies struct{ sent, failed, lost, queued *family }

func newReceiverFamilies(f *families) receiverFamilies {
	return receiverFamilies{
		sent: f.counter("repool_notifications_sent_total",
			"Notifications that the receiver (on_event or webhook) has taken.", "receiver"),
		failed: f.counter("repool_notification_failures_total",
			"Attempts that the receiver did not take; each is made again.", "receiver"),
		lost: f.counter("repool_notifications_lost_total", "Notifications that were given up, or had no room in the queue.",
			"receiver"),
		queued: f.gauge("repool_notifications_queued", "Notifications that wait for the receiver.", "receiver"),
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
