// Package trace gives each run of a resync to an OpenTelemetry collector as one
// trace: the run is the root span, its steps are the children.
//
// A Tracer is an audience of the controller. The trace is made from the run's
// journal when the run has ended, so nothing is measured twice and a run that
// outlived a controller is whole. Ids are derived from the run's id: IDOf tells
// where a run of the log or the history is to be found.
//
// It speaks OTLP over HTTP in its binary form, by the generated messages of the
// specification. docs/decisions/0005-traces-without-the-sdk.md says why the SDK is
// not used.
package trace
