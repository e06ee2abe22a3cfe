#!/bin/sh
# SPDX-License-Identifier: MIT
# Installs the Debian packages of the named groups that are missing: packages.sh build check ci peers
# Uses apt when it may (root, or sudo without a password); else prints the exact line and stops.
set -eu

group() {
	case $1 in
	build) echo gcc libc6-dev meson ninja-build pkg-config python3 libnuma-dev libxxhash-dev ;;
	check) echo xxhash ;;
	ci) echo g++ clang libclang-rt-14-dev valgrind strace binutils git \
		gcc-12-multilib musl-tools qemu-user gcc-aarch64-linux-gnu libc6-dev-arm64-cross \
		gcc-mingw-w64-x86-64 wine wine64 ;;
	peers) echo g++ golang-go libtbb-dev libboost-fiber-dev strace xxhash ;;
	docs) echo doxygen ;;
	*) echo "packages.sh: no group '$1' (build check ci peers docs)" >&2; exit 2 ;;
	esac
}

missing=
for name in "$@"; do
	for package in $(group "$name"); do
		status=$(dpkg-query -W -f '${Status}' "$package" 2>/dev/null || true)
		[ "$status" = "install ok installed" ] || missing="$missing $package"
	done
done
[ -n "$missing" ] || exit 0

if ! command -v apt-get >/dev/null 2>&1; then
	echo "moirai: this system has no apt. Install the counterparts of:$missing" >&2
	exit 1
fi
if [ "$(id -u)" = 0 ]; then
	as_root=env
elif command -v sudo >/dev/null 2>&1 && sudo -n true 2>/dev/null; then
	as_root="sudo env"
else
	echo "moirai: packages are missing. Please run:" >&2
	echo "  sudo apt-get install --no-install-recommends$missing" >&2
	exit 1
fi
echo "moirai: installing$missing" >&2
install() {
	# shellcheck disable=SC2086 # the list is meant to be split
	$as_root DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 install -y -q --no-install-recommends $missing >&2
}
# A package list may be absent or stale on a fresh machine: one refresh, one more try.
install || { $as_root apt-get -o DPkg::Lock::Timeout=300 update -q >&2 && install; }
