#!/bin/sh
# repool hook shim: made by repool setup; see repool hook failover --help.
exec /usr/bin/repool hook failover -- "$@"
