#!/bin/sh
# Runs every fuzz target of the module, one after the other.
# Usage: fuzz.sh [time per target, default 20s]
# With "brief" in place of the time each target gets a second: what CI does, to
# see that all build, that their corpora pass, and that nothing shallow is wrong.
set -eu

GO=${GO:-go}
limit=${1:-20s}
[ "$limit" != brief ] || limit=1s
cache=$($GO env GOCACHE)/fuzz
bin=$(mktemp -d)
trap 'rm -rf "$bin"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

for dir in $(git ls-files '*_test.go' | xargs grep -l '^func Fuzz' | xargs -n1 dirname | sort -u); do
	# One build for all the targets of a package: go test would link each anew.
	$GO test -c -fuzz . -o "$bin/test" "./$dir"
	for target in $(grep -h -o '^func Fuzz[A-Za-z0-9_]*' "$dir"/*_test.go | cut -d' ' -f2 | sort -u); do
		echo "== ./$dir $target"
		# From its own folder, so that what it finds lands in testdata/fuzz there.
		(cd "$dir" && "$bin/test" -test.run '^$' -test.fuzz "^$target\$" -test.fuzztime "$limit" -test.fuzzminimizetime 2s \
			-test.fuzzcachedir "$cache/$($GO list .)") || {
			echo "fuzz: $target found something: see ./$dir/testdata/fuzz/$target" >&2
			exit 1
		}
	done
done
