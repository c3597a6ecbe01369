#!/bin/sh
# Runs every fuzz target of the module, one after the other.
# Usage: fuzz.sh [time per target, default 20s]
set -eu

GO=${GO:-go}
limit=${1:-20s}
for dir in $(git ls-files '*_test.go' | xargs grep -l '^func Fuzz' | xargs -n1 dirname | sort -u); do
	for target in $(grep -h -o '^func Fuzz[A-Za-z0-9_]*' "$dir"/*_test.go | cut -d' ' -f2 | sort -u); do
		echo "== ./$dir $target"
		$GO test "./$dir" -run '^$' -fuzz "^$target\$" -fuzztime "$limit"
	done
done
