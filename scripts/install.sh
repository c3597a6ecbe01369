#!/bin/sh
# Installs what the packages have below PREFIX, without a package manager. Usage: install.sh PREFIX [DESTDIR]
set -eu

GO=${GO:-go}
STAGE=$(mktemp -d "${TMPDIR:-/tmp}/repool-install.XXXXXX")
trap 'rm -rf "$STAGE"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || date +%s)}
export SOURCE_DATE_EPOCH
umask 022
$GO run ./packaging/generate "$STAGE/generated"
cp bin/repool bin/repool-lab "$STAGE/"
$GO run ./packaging/install -stage "$STAGE" -prefix "$1" -destdir "${2:-}"
# The services' user reads the settings.
settings=${2:-}/etc/repool/repool.yaml
if [ -z "${2:-}" ] && [ "$(id -u)" -eq 0 ] && getent group postgres >/dev/null; then
	chgrp postgres "$settings"
fi
