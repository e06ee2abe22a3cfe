#!/bin/sh
# SPDX-License-Identifier: MIT
# tests/consumer/run.sh WORK: uses Moirai in every way the README names. Prints TAP.
set -u
root=$(CDPATH='' cd -- "$(dirname -- "$0")/../.." && pwd)
work=$1
here=$root/tests/consumer
rm -rf "$work" && mkdir -p "$work"
number=0 failed=0
echo "TAP version 13"
echo "1..7"

step() { # step NAME COMMAND...: one test; its output goes to a log that is shown on failure
	name=$1
	shift
	number=$((number + 1))
	if ("$@") >"$work/$number.log" 2>&1; then
		echo "ok $number - $name"
	else
		sed 's/^/# /' "$work/$number.log" | tail -n 40
		echo "not ok $number - $name"
		failed=1
	fi
}

project() { # project KIND NAME: a copy of the consumer project
	cp -r "$here/$1" "$work/$2" && cp "$here"/app/*.c "$work/$2" && cp "$here/app/hello.c" "$work/$2/hello.cpp" &&
		mkdir -p "$work/$2/subprojects/packagefiles"
}

build_and_test() { # build_and_test NAME OPTION...
	name=$1
	shift
	cd "$work/$name" && meson setup build "$@" && meson test -C build
}

git_wrap() { # the whole repository as a git wrap, then one component of it
	components=$(sed -n "s/^order = \[\(.*\)\]/\1/p" "$root/meson.build" | tr -d "',")
	provided=moirai
	for component in $components; do provided="$provided, moirai-$component"; done
	printf '[wrap-git]\nurl = file://%s\nrevision = %s\ndepth = 1\n\n[provide]\ndependency_names = %s\n' \
		"$root" "$(git -C "$root" rev-parse HEAD)" "$provided" >"$work/$1/subprojects/moirai.wrap"
}
whole() { project whole whole && git_wrap whole && build_and_test whole; }
one_of_whole() { project one one_of_whole && git_wrap one_of_whole && build_and_test one_of_whole -Dwhole=true; }
one_by_wrap() {
	project one one_by_wrap && "$root/tools/release.sh" "$work/release" &&
		cp "$work"/release/*.tar.gz "$work/one_by_wrap/subprojects/packagefiles" &&
		cp "$work"/release/moirai-*.wrap "$work/one_by_wrap/subprojects" && build_and_test one_by_wrap
}
installed() { # installed KIND
	meson setup "$work/build-$1" "$root" --prefix="$work/$1" --libdir=lib -Ddefault_library="$1" \
		-Dtests=disabled --buildtype=release && meson install -C "$work/build-$1"
}
compile() { # compile KIND SOURCE COMPILER PACKAGE OPTION...
	kind=$1 source=$2 compiler=$3 package=$4
	shift 4
	PKG_CONFIG_PATH=$work/$kind/lib/pkgconfig
	export PKG_CONFIG_PATH
	# shellcheck disable=SC2046 # flags are meant to be split
	$compiler "$@" "$source" -o "$work/app-$kind" $(pkg-config --cflags $(test "$kind" = shared || echo --static) --libs "$package") &&
		LD_LIBRARY_PATH=$work/$kind/lib "$work/app-$kind"
}
shared() { installed shared && compile shared "$here/app/hello.c" cc moirai; }
shared_component() { compile shared "$here/app/one.c" cc moirai-utils; }
shared_cpp() { cp "$here/app/hello.c" "$work/hello.cpp" && compile shared "$work/hello.cpp" c++ moirai -std=c++11 -Wall -Werror; }
static() { installed static && compile static "$here/app/hello.c" cc moirai -static; }

step "the whole repository by a git wrap, from C and C++" whole
step "one component of the repository by a git wrap" one_of_whole
step "one component by release archives and wraps" one_by_wrap
step "installed and shared, by pkg-config" shared
step "one component installed, by pkg-config" shared_component
step "a C++ program with the installed library" shared_cpp
step "installed and static, a static program" static
exit $failed
