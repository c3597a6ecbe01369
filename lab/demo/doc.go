// Package demo is the main job, shown: a real pool under load, five bad
// things done to it one after the other, and the way back each time, told as a
// timeline. It ends with the proof: all nodes attached, the copies compared
// row by row, and every acknowledged row either present or listed by a vault.
//
// Run is the entry; Report is what `repool-lab demo --json` prints. The demo uses
// the lab's and the controller's public ways only, as a person would.
package demo
