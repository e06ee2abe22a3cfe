#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Plants bugs into copies of sources, for the deterministic tester.

    plant.py BUGS SOURCE_DIR OUTPUT_DIR

BUGS is a list of mutations with a number each:

    @ park.c 3 what goes wrong
    - 	the statements as they stand in the source, complete lines
    + 	what stands there when bug 3 is on

Lines with '* ' instead of '+ ' replace the text as they are (where if/else does not fit).

The copy contains both, behind model_bug(3): one program has all bugs, each off unless a scenario
switches it on, and the source stays free of them. Lines that are not found exactly once are an
error, so the list cannot rot.
"""
import pathlib
import sys


KINDS = {'-': 'old', '+': 'new', '*': 'raw'}


def read_bugs(path):
    bugs, bug = [], None
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if line.startswith('@ '):
            name, bug_number, what = line[2:].split(' ', 2)
            bug = {'file': name, 'number': int(bug_number), 'what': what, 'old': [], 'new': [], 'raw': []}
            bugs.append(bug)
        elif line[:2] in ('- ', '+ ', '* '):
            bug[KINDS[line[0]]].append(line[2:])
        elif line in ('-', '+', '*'):
            bug[KINDS[line]].append('')
        elif line and not line.startswith('#'):
            sys.exit(f'{path}:{number}: not understood: {line}')
    return bugs


def plant(text, bug):
    old = '\n'.join(bug['old']) + '\n'
    found = text.count(old)
    if found != 1:
        sys.exit(f"bug {bug['number']} ({bug['file']}): found {found} times:\n{old}")
    if bug['raw']:
        return text.replace(old, '\n'.join(bug['raw']) + '\n')
    new = ''.join(line + '\n' for line in bug['new'])
    head = f"if (model_bug({bug['number']})) {{ /* {bug['what']} */\n"
    return text.replace(old, f'{head}{new}}} else {{\n{old}}}\n')


def main():
    bugs_path, source, output = map(pathlib.Path, sys.argv[1:4])
    bugs = read_bugs(bugs_path)
    numbers = [bug['number'] for bug in bugs]
    if len(set(numbers)) != len(numbers):
        sys.exit('a number is used twice')
    for name in sorted({bug['file'] for bug in bugs}):
        text = (source / name).read_text()
        for bug in bugs:
            if bug['file'] == name:
                text = plant(text, bug)
        (output / name).write_text('#include "model.h"\n' + text)


main()
