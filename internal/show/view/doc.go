// Package view words what the controller publishes and what its history tells.
// The page, the terminal and the JSON all take their words from here.
//
// Of makes a View of a status and the newest events, Draw lays its picture out,
// Tell tells one failure as a Story, and DecisionOf words one decision. All are
// pure: same arguments, same result; the caller brings the clock. Nothing here
// knows HTML or a terminal, and only Draw cuts texts.
package view
