#!/bin/sh
# Formatting and vet. golangci-lint runs too where it is installed.
set -eu

GO=${GO:-go}
unformatted=$(git ls-files '*.go' | xargs -r gofmt -l)
if [ -n "$unformatted" ]; then
	echo "gofmt -w these files:" >&2
	echo "$unformatted" >&2
	exit 1
fi
$GO vet ./...
if command -v golangci-lint >/dev/null; then
	golangci-lint run ./...
fi
