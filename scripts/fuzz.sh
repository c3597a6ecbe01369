#!/bin/sh
# Runs every fuzz target of the module.
# Usage: fuzz.sh [time per target, default 20s]
# With "brief" in place of the time each target gets a second, and two packages go
# at a time: to see that all build, that their corpora pass, and that
# nothing shallow is wrong.
#        fuzz.sh TIME DIR   the targets of one package
set -eu

GO=${GO:-go}
limit=${1:-20s}
if [ $# -lt 2 ]; then
	jobs=1
	if [ "$limit" = brief ]; then
		limit=1s jobs=2
	fi
	git ls-files '*_test.go' | xargs grep -l '^func Fuzz' | xargs -n1 dirname | sort -u | xargs -n1 -P"$jobs" "$0" "$limit"
	exit
fi

dir=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
cache=$($GO env GOCACHE)/fuzz/$($GO list "./$dir")

# One build for all the targets of a package: go test would link each anew.
$GO test -c -fuzz . -o "$work/test" "./$dir"
for target in $(grep -h -o '^func Fuzz[A-Za-z0-9_]*' "$dir"/*_test.go | cut -d' ' -f2 | sort -u); do
	# From its own folder, so that what it finds lands in testdata/fuzz there.
	fuzz() {
		(cd "$dir" && "$work/test" -test.run '^$' -test.fuzz "^$target\$" -test.fuzztime "$limit" \
			-test.fuzzminimizetime 2s -test.fuzzcachedir "$cache") >"$work/out" 2>&1
	}
	# Go's fuzzer can take the end of its own time for a failure, which names no
	# input: then it has another go, and any other failure is one.
	nothing() { grep -q '^ *context deadline exceeded$' "$work/out" && ! grep -q 'Failing input' "$work/out"; }
	if ! fuzz && ! { nothing && fuzz; }; then
		cat "$work/out" >&2
		echo "fuzz: $target found something: see ./$dir/testdata/fuzz/$target" >&2
		exit 1
	fi
	echo "./$dir $target: $(grep -o 'execs: [0-9]*' "$work/out" | tail -1), $(grep -o 'new interesting: .*' "$work/out" | tail -1)"
done
