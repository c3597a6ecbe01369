// Package proof tells whether a pool kept its promises while bad things were
// done to it. Demo, crash points and chaos use the same one.
//
// Take accounts for every acknowledged row at a quiet moment: present on the
// primary, listed by a vault report, or neither, which no promise allows; and
// it names the rows that a vault calls lost while they are there. A Guard looks
// at the pool all the while: no second primary may be attached, and no node
// under watch may accept writes at all.
//
// The rule for callers: nothing may write while Take looks, and every node
// must be attached or out of the pool for good.
package proof
