#!/bin/sh
# repool hook shim: made by repool setup; see repool hook follow-primary --help.
exec /usr/bin/repool hook follow-primary -- "$@"
