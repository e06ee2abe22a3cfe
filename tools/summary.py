#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Counts the tests of Meson logs (testlog.json) and prints `N passed, N failed, N skipped`.

A TAP program counts with each of its tests; a program that crashed, timed out or lost tests counts
as one failure more. Exit status 1 on any failure, or when nothing was run.
"""
import json
import re
import sys

LINE = re.compile(r'^(not )?ok\b[^#\n]*(#\s*(?P<directive>skip|todo)\b)?', re.I)
PLAN = re.compile(r'^1\.\.(\d+)')


def count(entry):
    """(passed, failed, skipped) of one entry of a log."""
    passed = failed = skipped = 0
    planned = None
    for line in (entry.get('stdout') or '').splitlines():
        plan = PLAN.match(line)
        if plan:
            planned = int(plan.group(1))
        match = LINE.match(line)
        if not match:
            continue
        if match.group(1):
            failed += 1
        elif match.group('directive'):
            skipped += 1
        else:
            passed += 1
    result = entry['result']
    if planned is None:  # not TAP: the program is the test
        return {'OK': (1, 0, 0), 'EXPECTEDFAIL': (1, 0, 0), 'SKIP': (0, 0, 1)}.get(result, (0, 1, 0))
    lost = max(0, planned - passed - failed - skipped)
    if result not in ('OK', 'SKIP', 'EXPECTEDFAIL') and failed + lost == 0:
        lost = 1
    return passed, failed + lost, skipped


def main(paths):
    total = [0, 0, 0]
    bad = []
    for path in paths:
        with open(path, encoding='utf-8') as log:
            for line in log:
                entry = json.loads(line)
                counts = count(entry)
                total = [a + b for a, b in zip(total, counts)]
                if counts[1]:
                    bad.append(f"{entry['name']}: {entry['result']}")
    for line in bad:
        print(f'failed: {line}')
    print('{} passed, {} failed, {} skipped'.format(*total))
    return 1 if total[1] or not total[0] else 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
