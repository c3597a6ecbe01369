// Package view turns what the controller has published, and what its history
// tells, into what people see: the page and the terminal show the same words.
//
// Of makes a View of a status and the last events, Draw lays its picture out,
// and Tell tells one failure as a Story. All three are pure: same arguments,
// same result; the caller brings the clock. Nothing here knows HTML or a
// terminal, and no text is cut but by Draw.
package view
