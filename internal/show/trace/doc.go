// Package trace sends each resync run to an OpenTelemetry collector as one trace:
// the run is the root span, its steps are the children.
//
// A Tracer is an audience of the controller. The trace is made from the run's
// journal when the run has ended, so nothing is measured twice and a run that
// outlives a controller is complete. Trace ids are derived from run ids: IDOf finds
// the trace of a run in the log or the history.
//
// It speaks OTLP over HTTP in binary form, with the generated messages of the
// specification. docs/decisions/0005-traces-without-the-sdk.md says why the SDK is
// not used.
package trace
