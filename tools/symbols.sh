#!/bin/sh
# SPDX-License-Identifier: MIT
# tools/symbols.sh BUILD: writes each component's symbols.txt anew from the libraries in BUILD.
# A diff of these files is a diff of the ABI: read it before committing it.
set -eu
build=$1
cd "$(dirname -- "$0")/.."
for library in "$build"/subprojects/moirai-*/libmoirai-*.so; do
	name=${library##*/libmoirai-}
	name=${name%.so}
	nm -D --defined-only "$library" | awk '$3 ~ /^moirai_/ {print $3}' | LC_ALL=C sort >"$name/symbols.txt"
done
