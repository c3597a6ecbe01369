#!/bin/sh
# repool hook shim: made by repool setup; see repool hook recovery-2nd-stage --help.
exec /usr/bin/repool hook recovery-2nd-stage -- "$@"
