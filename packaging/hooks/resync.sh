#!/bin/sh
# repool hook shim: made by repool setup; see repool hook resync --help.
exec /usr/bin/repool hook resync -- "$@"
