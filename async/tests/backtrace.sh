#!/bin/sh
# SPDX-License-Identifier: MIT
# backtrace.sh GDB SCRIPT PROGRAM: back-traces of parked fibers are whole and end at the entry, and
# the program goes on unharmed after them.
echo 1..4
out=$("$1" -nx -q -batch -ex 'set debuginfod enabled off' -ex 'set print demangle off' -ex 'break all_parked' -ex run \
	-ex "source $2" -ex 'moirai fibers' -ex 'moirai bt all' -ex continue "$3" 2>&1)
case $out in
*'No symbol'* | *'no debug info'* | *'ptrace'*)
	for n in 1 2 3 4; do echo "ok $n - gdb # SKIP no debug information, or no ptrace here"; done
	exit 0
	;;
esac
n=0
check() { # NAME EXPECTED FOUND
	n=$((n + 1))
	if [ "$2" = "$3" ]; then
		echo "ok $n - $1"
	else
		echo "# expected $2, found $3"
		printf '%s\n' "$out" | sed 's/^/# /'
		echo "not ok $n - $1"
	fi
}
check parked_fibers_are_listed 1 "$(printf '%s\n' "$out" | grep -c '^3 fibers')"
check each_frame_is_found 6 "$(printf '%s\n' "$out" | grep -c '^#.* deep_inside (')"
check the_trace_ends_at_the_entry 3 "$(printf '%s\n' "$out" | grep -c '^#.* moirai__switch_entry (')"
check the_program_goes_on 1 "$(printf '%s\n' "$out" | grep -c 'exited normally')"
