#!/bin/sh
# SPDX-License-Identifier: MIT
# tools/release.sh DIR: archives of each component and of the whole, with a wrap file for each.
# Unpack, or copy DIR/*.tar.gz to subprojects/packagefiles and DIR/*.wrap to subprojects.
set -eu
out=$(mkdir -p "$1" && CDPATH='' cd -- "$1" && pwd)
cd "$(dirname -- "$0")/.."
version=$(sed -n "s/^ *version: '\(.*\)',/\1/p" meson.build | head -n 1)
components=$(sed -n "s/^order = \[\(.*\)\]/\1/p" meson.build | tr -d "',")

wrap() { # wrap NAME TREE PROVIDED...
	name=$1 tree=$2 archive=$1-$version.tar.gz
	shift 2
	git archive --format=tar.gz --prefix="$name-$version/" -o "$out/$archive" "$tree"
	{
		echo "[wrap-file]"
		echo "directory = $name-$version"
		echo "source_filename = $archive"
		echo "source_hash = $(sha256sum "$out/$archive" | cut -d ' ' -f 1)"
		echo
		echo "[provide]"
		echo "dependency_names = $*"
	} >"$out/$name.wrap"
}

all=moirai
for component in $components; do
	wrap "moirai-$component" "HEAD:$component" "moirai-$component"
	all="$all, moirai-$component"
done
wrap moirai HEAD "$all"
ls "$out"
