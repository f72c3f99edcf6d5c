#!/usr/bin/env bash
# Builds the archives of a release and their checksums into dist, from a clean
# checkout that has the version's tag: the Go tool stamps the tag into the
# program. It tags and uploads nothing.
set -euo pipefail
cd "$(dirname "$0")/.."
version=${1:-}
if ! [[ $version =~ ^[0-9]+\.[0-9]+\.[0-9]+(-[0-9A-Za-z.]+)?$ ]]; then
	echo "usage: make release VERSION=0.1.0" >&2
	exit 2
fi
if ! grep -q "^## \[$version\]" CHANGELOG.md; then
	echo "CHANGELOG.md has no section for $version" >&2
	exit 1
fi
if [ -n "$(git status --porcelain)" ]; then
	echo "the checkout has changes that are not committed" >&2
	exit 1
fi
if [ "$(git describe --exact-match --tags HEAD 2>/dev/null)" != "v$version" ]; then
	echo "HEAD is not tagged v$version" >&2
	exit 1
fi
rm -rf dist
for target in linux/amd64 linux/arm64 darwin/amd64 darwin/arm64; do
	name=magne-actors-$version-${target/\//-}
	mkdir -p "dist/$name"
	CGO_ENABLED=0 GOOS=${target%/*} GOARCH=${target#*/} \
		go build -trimpath -buildvcs=true -ldflags "-s -w" -o "dist/$name/" ./cmd/magne-actors
	cp LICENSE README.md CHANGELOG.md "dist/$name/"
	# The same commit gives the same bytes.
	tar --sort=name --owner=0 --group=0 --numeric-owner --mtime="@$(git log -1 --format=%ct)" \
		-C dist -cf - "$name" | gzip -n >"dist/$name.tar.gz"
	rm -r "dist/$name"
done
(cd dist && sha256sum ./*.tar.gz | sed 's, \./, ,' >SHA256SUMS && cat SHA256SUMS)
