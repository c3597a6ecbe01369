#!/bin/sh
# Builds the packages of repool and repool-lab, .deb and .rpm, for amd64 and arm64, with a bill of materials (CycloneDX)
# for each and SHA256SUMS. The same commit gives the same bytes. Usage: packages.sh [DIRECTORY]
set -eu

GO=${GO:-go}
out=${1:-dist}
[ -d packaging/nfpm ] || { echo "packages.sh: run it in the repository's root" >&2; exit 1; }
mkdir -p "$out"
# In a directory of its own, so that nothing old is taken for new.
STAGE=$(mktemp -d "${TMPDIR:-/tmp}/repool-packages.XXXXXX")
trap 'rm -rf "$STAGE"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}
# The tools are built the same way everywhere too: a bill of materials names the sum of the tool that made it.
export GOFLAGS="${GOFLAGS:-} -trimpath" STAGE SOURCE_DATE_EPOCH LC_ALL=C TZ=UTC
tool() { $GO tool -modfile=tools/go.mod "$@"; }

umask 022
$GO run ./packaging/generate "$STAGE/generated"
VERSION=${VERSION:-$(cat "$STAGE/generated/version")}
export VERSION
for ARCH in ${ARCHES:-amd64 arm64}; do
	export ARCH
	CGO_ENABLED=0 GOOS=linux GOARCH=$ARCH $GO build -trimpath -ldflags='-s -w' -o "$STAGE/" ./cmd/repool ./cmd/repool-lab
	for program in repool repool-lab; do
		for format in deb rpm; do
			tool nfpm package -f "packaging/nfpm/$program.yaml" -p "$format" -t "$out/" >/dev/null
		done
		tool cyclonedx-gomod bin -json -std -noserial -notimestamp -version "$VERSION" \
			-output "$out/${program}_${VERSION}_$ARCH.cdx.json" "$STAGE/$program" 2>/dev/null
	done
done
cd "$out"
sha256sum ./*_"$VERSION"_*.deb ./*-"$VERSION"-*.rpm ./*_"$VERSION"_*.cdx.json | sed 's|\./||' >SHA256SUMS
ls -1
