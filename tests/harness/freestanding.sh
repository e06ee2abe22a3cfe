#!/bin/sh
# SPDX-License-Identifier: MIT
# freestanding.sh OUTPUT NM COMPILER...: compiles and links freestanding.c without a libc and asks nm
# whether anything is missing. Speaks TAP.
output=$1 nm=$2
shift 2
echo 1..2
if "$@" -o "$output"; then
	echo "ok 1 - links_without_a_libc"
else
	echo "not ok 1 - links_without_a_libc"
	echo "not ok 2 - leaves_no_symbol_open"
	exit 1
fi
open=$("$nm" -u "$output") || { echo "not ok 2 - leaves_no_symbol_open"; exit 1; }
if [ -z "$open" ]; then
	echo "ok 2 - leaves_no_symbol_open"
else
	echo "# $open"
	echo "not ok 2 - leaves_no_symbol_open"
	exit 1
fi
