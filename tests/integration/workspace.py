#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The rules of the house, as tests (TAP): floors, rules, headers, symbols.

  workspace.py floors ROOT                     no component includes one above its floor
  workspace.py rules ROOT                      atomics, waiting and allocation go through core
  workspace.py headers ROOT GENERATED NAME...  public headers compile alone, as C and as C++
  workspace.py symbols ROOT NAME=LIBRARY...    what a library exports is what symbols.txt says
"""
import concurrent.futures
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ORDER = ['core', 'utils', 'sync', 'metrics', 'scheduler', 'async', 'transport', 'executor', 'iter',
         'security']


class Tap:
    """Collects results; prints the plan first."""

    def __init__(self):
        self.results = []

    def add(self, name, problems):
        self.results.append((name, problems))

    def finish(self):
        print('TAP version 13')
        print(f'1..{len(self.results)}')
        for number, (name, problems) in enumerate(self.results, 1):
            for problem in problems:
                print(f'# {problem}')
            print(f"{'not ok' if problems else 'ok'} {number} - {name}")
        return 1 if any(problems for _, problems in self.results) else 0


def edges(root):
    """The table `needs` of the root meson.build: the only place that names the edges."""
    text = (root / 'meson.build').read_text()
    table = re.search(r'^needs = \{(.*?)^\}', text, re.S | re.M).group(1)
    return {name: re.findall(r"'(\w+)'", needs)
            for name, needs in re.findall(r"'(\w+)': \[(.*?)\]", table)}


def sources(folder, *suffixes):
    return sorted(p for p in folder.rglob('*') if p.suffix in suffixes and p.is_file()
                  and 'subprojects' not in p.relative_to(folder).parts)


def floors(root):
    tap = Tap()
    include = re.compile(r'^\s*#\s*include\s*<moirai/(\w+)', re.M)
    for name, needs in edges(root).items():
        problems = []
        for path in sources(root / name, '.c', '.h', '.S'):
            for other in include.findall(path.read_text(errors='replace')):
                if other in ORDER and other != name and other not in needs:
                    problems.append(f'{path.relative_to(root)} includes {other}')
        links = {p.name for p in (root / name / 'subprojects').iterdir()}
        wanted = {f'moirai-{n}' for n in needs} | {'moirai-testing'}
        problems += [f'{name}/subprojects lacks {n}' for n in sorted(wanted - links)]
        tap.add(f'{name} includes only what it needs', problems)
    return tap.finish()


RULES = [
    ('atomics stand in core', r'\b(__atomic_\w+|__sync_\w+|atomic_(load|store|fetch|exchange|compare)\w*)\b',
     r'core/(include/moirai/core/atomic\.h|src/(os_|alloc|atomic))'),
    ('waiting goes through park and os', r'\b(SYS_futex|pthread_cond_\w+|pthread_mutex_\w+|usleep|nanosleep|sched_yield)\b',
     r'core/src/os_'),
    ('allocation goes through alloc.h', r'(?<![\w.>])(malloc|calloc|realloc|free|aligned_alloc|posix_memalign)\(',
     r'core/src/(alloc|os_)'),
    ('nothing is left for later', r'\b(TODO|FIXME|XXX|HACK)\b', None),
]


def strip_comments(text):
    return re.sub(r'/\*.*?\*/|//[^\n]*', lambda m: '\n' * m.group(0).count('\n'), text, flags=re.S)


def rules(root):
    tap = Tap()
    files = [p for name in ORDER if (root / name).is_dir() for folder in ('src', 'include')
             for p in sources(root / name / folder, '.c', '.h')]
    for name, pattern, allowed in RULES:
        problems = []
        for path in files:
            relative = path.relative_to(root).as_posix()
            if allowed and re.match(allowed, relative):
                continue
            text = path.read_text(errors='replace')
            text = text if allowed is None else strip_comments(text)
            for number, line in enumerate(text.splitlines(), 1):
                match = re.search(pattern, line)
                if match:
                    problems.append(f'{relative}:{number}: {match.group(0)}')
        tap.add(name, problems)
    long = [f'{p.relative_to(root)}: {n} lines' for p in files
            if (n := len(p.read_text(errors='replace').splitlines())) > 600]
    tap.add('a file is one idea (600 lines at most)', long)
    bare = [str(p.relative_to(root)) for p in files
            if not p.read_text(errors='replace').startswith('/* SPDX-License-Identifier: MIT */')]
    tap.add('each file names its licence', bare)
    tap.add('each exported symbol is documented',
            [problem for p in files
             if p.suffix == '.h' and 'internal' not in p.parts for problem in undocumented(p)])
    return tap.finish()


def undocumented(path):
    """Exported declarations that no comment stands before."""
    lines = path.read_text(errors='replace').splitlines()
    for number, line in enumerate(lines):
        if line.startswith('MOIRAI_API') and not (number and lines[number - 1].rstrip().endswith('*/')):
            yield f'{path.name}:{number + 1}: {line}'


def headers(root, generated, *names):
    tap = Tap()
    includes = [f'-I{root}/include', f'-I{generated}'] + [f'-I{root / n / "include"}' for n in names]
    found = [p.relative_to(root / n / 'include').as_posix() for n in names
             for p in sources(root / n / 'include', '.h')] + ['moirai/moirai.h']
    cc = shutil.which(os.environ.get('CC', 'cc').split()[0])
    cxx = shutil.which(os.environ.get('CXX', 'c++').split()[0])
    standards = [('c', s, cc) for s in ('gnu11', 'gnu2x')]
    standards += [('c++', s, cxx) for s in ('c++11', 'c++20')]
    with tempfile.TemporaryDirectory() as scratch:
        def check(header, language, standard, compiler):
            source = Path(scratch) / (re.sub(r'\W', '_', header) + '_' + re.sub(r'\W', '_', standard))
            source.write_text(f'#include <{header}>\n#include <{header}>\nint moirai_probe;\n')
            command = [compiler, f'-std={standard}', '-x', language, '-Wall', '-Wextra', '-Wpedantic',
                       '-Werror', '-fsyntax-only', *includes, str(source)]
            run = subprocess.run(command, capture_output=True, text=True)
            return run.stderr.splitlines()[:4] if run.returncode else []

        jobs = [(h, *s) for h in found for s in standards if s[2]]
        with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
            for job, problems in zip(jobs, pool.map(lambda j: check(*j), jobs)):
                tap.add(f'{job[0]} alone as {job[2]}', problems)
    return tap.finish()


def symbols(root, *libraries):
    tap = Tap()
    for item in libraries:
        name, library = item.split('=', 1)
        out = subprocess.run(['nm', '-D', '--defined-only', library], capture_output=True, text=True,
                             check=True).stdout
        # Linkers add __bss_start and friends on some targets; TSan and ASan builds add their own.
        exported = {line.split()[-1] for line in out.splitlines()}
        exported = {s for s in exported if not re.match(r'_(_bss_start|edata|end|init|fini)$|__asan|__tsan|___asan|__odr_asan|__gcov|__llvm|mangle_path', s)}
        listed = (root / name / 'symbols.txt')
        wanted = set(listed.read_text().split()) if listed.exists() else set()
        problems = [f'exported, not in {name}/symbols.txt: {s}' for s in sorted(exported - wanted)]
        problems += [f'in {name}/symbols.txt, not exported: {s}' for s in sorted(wanted - exported)]
        problems += [f'{s}: not in the name space of the library' for s in sorted(exported)
                     if not re.match(r'moirai_', s)]
        tap.add(f'{name} exports what symbols.txt lists', problems)
    return tap.finish()


if __name__ == '__main__':
    commands = {f.__name__: f for f in (floors, rules, headers, symbols)}
    if len(sys.argv) < 3 or sys.argv[1] not in commands:
        sys.exit(__doc__)
    sys.exit(commands[sys.argv[1]](Path(sys.argv[2]).resolve(), *sys.argv[3:]))
