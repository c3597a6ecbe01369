#!/bin/sh
# repool hook shim: made by repool setup; see repool hook recovery-1st-stage --help.
exec /usr/bin/repool hook recovery-1st-stage -- "$@"
