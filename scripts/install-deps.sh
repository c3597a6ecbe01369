#!/bin/sh
# Installs the Debian packages that the lab needs, and with "tests" those that only
# the tests need too; only what is missing. Silent when nothing is. A machine that
# has a PostgreSQL server already keeps it as it is; on any other no server and no
# pool is made or started, nor any other service of these packages.
# Usage: install-deps.sh [tests]
set -eu

wanted="postgresql-15 pgpool2 postgresql-15-pgpool2 openssh-server iproute2 nftables"
services="pgpool2 openssh-server"
if [ "${1:-}" = tests ]; then
	wanted="$wanted prometheus chromium rpm lintian debootstrap man-db"
	services="$services prometheus"
fi

installed() {
	[ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null || true)" = installed ]
}

missing=
for package in $wanted; do
	installed "$package" || missing="$missing $package"
done
[ -n "$missing" ] || exit 0

if ! command -v apt-get >/dev/null; then
	echo "install-deps: these Debian packages are missing and there is no apt-get:$missing" >&2
	exit 1
fi

sudo=
if [ "$(id -u)" -ne 0 ]; then
	if ! command -v sudo >/dev/null; then
		echo "install-deps: as root, please: apt-get install$missing" >&2
		exit 1
	fi
	sudo=sudo
fi

as_root() { $sudo env DEBIAN_FRONTEND=noninteractive LC_ALL=C "$@"; }
install() { as_root apt-get install -y --no-install-recommends "$@"; }

echo "install-deps: installing$missing" >&2
as_root apt-get update -q

# Without any server so far: keep Debian from making the cluster "main".
conf=/etc/postgresql-common/createcluster.conf
if ! ls /usr/lib/postgresql/*/bin/postgres >/dev/null 2>&1; then
	install postgresql-common
	if ! grep -q '^create_main_cluster' "$conf"; then
		echo 'create_main_cluster = false' | $sudo tee -a "$conf" >/dev/null
	fi
fi

# Keep the packages from starting their own services on the standard ports,
# unless the machine has a policy of its own.
policy=/usr/sbin/policy-rc.d
made_policy=
for service in $services; do
	if ! installed "$service" && [ ! -e "$policy" ]; then
		printf '#!/bin/sh\nexit 101\n' | $sudo tee "$policy" >/dev/null
		$sudo chmod 755 "$policy"
		made_policy=yes
	fi
done
remove_policy() { [ -z "$made_policy" ] || $sudo rm -f "$policy"; }
trap remove_policy EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# shellcheck disable=SC2086 # a list of words
install $missing
