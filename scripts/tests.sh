#!/bin/sh
# Runs the tests of one target. Of test, those that test/suites.txt does not name; of all, those that it names.
# Usage: tests.sh test|all [go test flags]
set -eu

GO=${GO:-go}
target=$1
shift
suites() { grep -v '^#' test/suites.txt; }
any() { paste -sd '|' | sed 's/.*/^(&)$/'; }

case $target in
test)
	module=$($GO list -m)
	whole=$(suites | awk -v m="$module" '$2 == "*" { print m "/" $1 }')
	# The pools first: they wait more than they work, and the unit tests run beside them.
	packages="./test/scenarios $($GO list ./... | grep -vxF -e "$module/test/scenarios" -e "$whole")"
	set -- -skip "$(suites | awk '$2 != "*" { print $2 }' | any)" "$@"
	;;
all)
	if [ "$(id -u)" -ne 0 ]; then
		echo "test-all: nodes on hosts of their own need network namespaces, and those need root" >&2
		exit 1
	fi
	# With WORLDS in the environment, the simulation again and longer.
	packages="./test/sim $(suites | awk '{ print "./" $1 }' | sort -u)"
	names=$(suites | while read -r package name; do
		if [ "$name" = '*' ]; then
			grep -ho '^func Test[A-Za-z0-9_]*' "$package"/*_test.go | cut -d' ' -f2 | grep -vx TestMain
		else
			echo "$name"
		fi
	done && echo TestWorlds)
	set -- -run "$(echo "$names" | any)" "$@"
	;;
*)
	echo "tests.sh: no target $target" >&2
	exit 2
	;;
esac

# In memory, where there is room for six pools, a copy of a data directory costs a tenth of the processor time.
room() { df --output=avail -k /dev/shm 2>/dev/null | tail -1; }
free() { awk '/^MemAvailable/ { print $2 }' /proc/meminfo; }
if [ -z "${TMPDIR:-}" ] && [ "$(room)" -gt 8000000 ] && [ "$(free)" -gt 8000000 ]; then
	export TMPDIR=/dev/shm GOTMPDIR=/tmp
fi
# shellcheck disable=SC2086 # a list of words
exec $GO test -p 2 "$@" $packages
