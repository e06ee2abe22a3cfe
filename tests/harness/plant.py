#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
r"""Plants bugs: plant.py BUGS OUTPUT FILE...

Joins the FILEs (headers first) into OUTPUT, one unit that a model program includes, with the bugs
of the list BUGS built in, each behind model_bug(NUMBER). With none switched on it is the code as it
is. An entry of the list:

    @ NUMBER FILE: what is wrong            FILE by its last path component
    -statement                              the text as it stands there, exactly once
    +statement                              what the bug makes of it; may be missing

or, for an expression, < and > in the place of - and +. Lines with | are text before it that tells
one place from another (a \ at the end: the place follows on the same line). What is not found, or found twice, is an error: the list cannot rot.
"""
import pathlib
import sys


def entries(path):
    bugs = []
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if line.startswith('@ '):
            bug, rest = line[2:].split(' ', 1)
            bugs.append({'bug': int(bug), 'file': rest.split(':')[0], 'where': f'{path.name}:{number}',
                         '|': [], '-': [], '+': [], '<': [], '>': []})
        elif line[:1] in ('|', '-', '+', '<', '>') and bugs:
            bugs[-1][line[0]].append(line[1:])
        elif line.strip() and not line.startswith('#'):
            sys.exit(f'{path}:{number}: not understood: {line}')
    return bugs


def plant(text, entry):
    statement = bool(entry['-'])
    old = '\n'.join(entry['-'] or entry['<'])
    new = ' '.join(part.strip() for part in entry['+'] or entry['>'])
    before = ''.join(line[:-1] if line.endswith('\\') else line + '\n' for line in entry['|'])
    if text.count(before + old) != 1:
        sys.exit(f"{entry['where']}: found {text.count(before + old)} times in {entry['file']}: {old}")
    if statement:
        changed = f"{{ if (model_bug({entry['bug']})) {{ {new} }} else {{ {old} }} }}"
    else:
        changed = f"(model_bug({entry['bug']}) ? ({new}) : ({old}))"
    return text.replace(before + old, before + changed)


def main():
    bugs, output, *files = (pathlib.Path(argument) for argument in sys.argv[1:])
    todo = entries(bugs)
    unit = []
    for path in files:
        text = path.read_text()
        for entry in [e for e in todo if e['file'] == path.name]:
            text = plant(text, entry)
            todo.remove(entry)
        unit.append(f'#line 1 "{path.name}"\n{text}')
    if todo:
        sys.exit(f"{todo[0]['where']}: no such file among {[f.name for f in files]}")
    output.write_text('\n'.join(unit))


main()
