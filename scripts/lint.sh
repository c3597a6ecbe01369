#!/bin/sh
# Runs golangci-lint, in the version that tools/go.mod pins, with .golangci.yml; it vets and checks the formatting too.
set -eu

GO=${GO:-go}
exec $GO tool -modfile=tools/go.mod golangci-lint run --max-issues-per-linter 0 --max-same-issues 0 "$@" ./...
