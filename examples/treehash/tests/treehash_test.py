#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Tests of treehash (TAP): treehash_test.py PROGRAM COMPLETION [NAME...]

Trees are made in a temporary directory; xxhsum, where it is installed, is the judge of every hash.
"""
import json
import os
import pty
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

PROGRAM = os.path.abspath(sys.argv[1]).encode()
COMPLETION = os.path.abspath(sys.argv[2])
SANITIZED = os.environ.get('TREEHASH_SANITIZED') == '1'
XXHSUM = shutil.which('xxhsum')
PEAK_KIB_MOST = 64 * 1024
TESTS = []
TREE = b''


class Skip(Exception):
    pass


def test(function):
    TESTS.append(function)
    return function


class Result:
    def __init__(self, code, out, err, peak_kib):
        self.code, self.out, self.err, self.peak_kib = code, out, err, peak_kib
        self.lines = out.splitlines(keepends=True)

    def paths(self):
        """path -> hash, of the lines in xxhsum's form; fails for any other line but escaped ones."""
        found = {}
        # Not by lines: a carriage return in a name is no end of a line.
        for line in self.out.split(b'\n')[:-1]:
            match = re.fullmatch(rb'XXH3 \((.*)\) = ([0-9a-f]{16})', line, re.S)
            if match:
                found[match[1]] = match[2]
                continue
            match = re.fullmatch(rb'\\XXH3_([0-9a-f]{16})  (.*)', line, re.S)
            assert match, line
            name = re.sub(rb'\\(.)', lambda m: {b'n': b'\n', b'r': b'\r', b'\\': b'\\'}[m[1]], match[2])
            found[name] = match[1]
        assert self.out == b'' or self.out.endswith(b'\n')
        return found


# The kernel counts the memory of whoever forked a process among the process's peak: a small one does.
LAUNCHER = """
import os, resource, sys
report, files = int(sys.argv[1]), int(sys.argv[2])
if files:
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))
child = os.fork()
if child == 0:
    os.close(report)
    os.execv(sys.argv[3], sys.argv[3:])
_, status, usage = os.wait4(child, 0)
os.write(report, b'%d %d' % (os.waitstatus_to_exitcode(status), usage.ru_maxrss))
"""


def run(*arguments, cwd=None, files=0, timeout=120):
    """Runs treehash; every run stays below the promised memory."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        reader, report = os.pipe()
        child = subprocess.Popen(
            [sys.executable, '-SEIc', LAUNCHER, str(report), str(files), PROGRAM, *arguments],
            cwd=cwd or TREE, stdout=out, stderr=err, stdin=subprocess.DEVNULL, pass_fds=[report],
            start_new_session=True)
        os.close(report)
        timer = threading.Timer(timeout, os.killpg, [child.pid, signal.SIGKILL])
        timer.start()
        answer = os.read(reader, 100)
        child.wait()
        timer.cancel()
        os.close(reader)
        out.seek(0)
        err.seek(0)
        code, peak_kib = (int(word) for word in answer.split()) if answer else (-signal.SIGKILL, 0)
        result = Result(code, out.read(), err.read(), peak_kib)
    assert b'Sanitizer' not in result.err, result.err.decode(errors='replace')
    if not SANITIZED:
        assert result.peak_kib < PEAK_KIB_MOST, f'peak memory {result.peak_kib} KiB'
    return result


def make(path, content=b''):
    with open(os.path.join(TREE, path), 'wb') as file:
        file.write(content)


def reference(paths):
    """xxhsum's hashes, file by file (its own output is ambiguous for odd names)."""
    if not XXHSUM:
        raise Skip('xxhsum is not installed')
    hashes = {}
    for path in paths:
        out = subprocess.run([XXHSUM, '-H3'], stdin=open(os.path.join(TREE, path), 'rb'),
                             capture_output=True, check=True).stdout
        hashes[path] = re.search(rb'[0-9a-f]{16}', out[out.index(b'='):])[0]
    return hashes


def xxhsum_accepts(out):
    if not XXHSUM:
        return
    with tempfile.NamedTemporaryFile() as file:
        file.write(out)
        file.flush()
        check = subprocess.run([XXHSUM, '-c', '--quiet', file.name], cwd=TREE, capture_output=True,
                               stdin=subprocess.DEVNULL)
    assert check.returncode == 0, check.stdout[-500:] + check.stderr[-500:]
    assert b'FAILED' not in check.stdout, check.stdout[-500:]


def files_of(top):
    return [os.path.join(folder, name) for folder, _, names in os.walk(top) for name in names]


@test
def ten_thousand_files_give_the_same_lines_for_1_2_and_8_workers():
    generator = random.Random(1)
    count = 0
    for a in range(40):
        for b in range(generator.randint(1, 12)):
            folder = os.path.join(TREE, b'd%d' % a, b'x%d' % b * generator.randint(1, 8))
            os.makedirs(folder, exist_ok=True)
            for c in range(generator.choice([0, 3, 31, 32, 33, 100])):
                make(os.path.join(folder, b'f%d' % c), generator.randbytes(generator.choice(
                    [0, 1, 100, 4000])))
                count += 1
    while count < 10000:
        make(b'd0/more%d' % count, b'%d' % count)
        count += 1
    first = run(b'-j1', b'.')
    assert first.code == 0 and len(first.paths()) == count
    assert sorted(first.paths()) == sorted(files_of(b'.')) or sorted(first.paths()) == sorted(
        os.path.join(b'.', os.path.relpath(p, TREE)) for p in files_of(TREE))
    assert list(first.paths()) == sorted(first.paths()), 'not in the order of path bytes'
    for workers in (b'-j2', b'-j8', b'-j8', b'-j32'):
        again = run(workers, b'.')
        assert again.code == 0 and again.out == first.out, workers
    xxhsum_accepts(first.out)
    assert re.search(rb'treehash: %d files, \d+ bytes in [0-9.]+ s, [0-9.]+ GB/s, 1 worker\n' % count,
                     first.err), first.err


@test
def odd_names_are_checked_by_xxhsum():
    names = [b' lead', b'trail ', b'two  blanks', b'-dash', b'--help', b'back\\slash', b'\\', b'tab\t',
             b'cr\r', b'bad\xff\xfeutf', '\u00fcml\u00e4ut \u4e2d\u6587'.encode(), b') = 0123456789abcdef',
             b'XXH3 (x) = ', b'(', b')', b'stdin', b'a', b'a.b', b'a-b', b'a0', b'%s%n', b'"quoted"',
             b"it's", b'\x01\x1b[31m', b'n' * 255, b'*', b'$HOME']
    lines = [b'new\nline', b'\n', b'evil\nXXH3 (a) = 0000000000000000', b'mixed\\\r\n']
    for i, name in enumerate(names + lines):
        make(name, b'%d' % i)
    os.mkdir(os.path.join(TREE, b'a '))
    make(b'a /b', b'in a blank')
    os.mkdir(os.path.join(TREE, b'a!'))
    make(b'a!/z', b'')
    result = run(b'.')
    found = result.paths()
    expected = sorted([b'./' + n for n in names + lines] + [b'./a /b', b'./a!/z'])
    assert sorted(found) == expected
    assert list(found) == expected, 'order'
    xxhsum_accepts(result.out)
    hashes = reference(expected)
    assert found == hashes
    assert result.out.count(b'\n') == len(expected), 'a name made a line of its own'
    assert b', 4 escaped' in result.err
    assert run(b'stdin').out.startswith(b'XXH3 (./stdin) = ')
    assert run(b'--', b'--help').out.startswith(b'XXH3 (--help) = ')


@test
def a_directory_sorts_as_its_name_and_a_slash():
    for name in (b'a', b'a.', b'a-', b'b', b'ab'):
        os.mkdir(os.path.join(TREE, name))
        make(name + b'/f', b'')
    for name in (b'a!', b'a/0', b'a.c', b'a0', b'aa'):
        make(name, b'')
    paths = list(run(b'.').paths())
    assert paths == sorted(paths) and len(paths) == 10, paths


@test
def sizes_around_every_buffer_are_hashed_like_xxhsum():
    sizes = [0, 1, 2, 239, 240, 241, 4095, 4096, 4097, (128 << 10) - 1, 128 << 10, (128 << 10) + 1,
             (256 << 10), (1 << 20) - 1, 1 << 20, (1 << 20) + 1, 5000001]
    data = random.Random(2).randbytes(max(sizes))
    for size in sizes:
        make(b'%d' % size, data[:size])
    result = run(b'.')
    assert result.code == 0 and result.paths() == reference(sorted(result.paths()))
    total = sum(sizes)
    assert b'%d files, %d bytes' % (len(sizes), total) in result.err


@test
def big_files_are_shared_out_and_need_no_memory():
    for name in (b'a', b'b', b'c', b'z'):
        with open(os.path.join(TREE, name), 'wb') as file:
            file.truncate((300 << 20) + len(name))
    make(b'small', b'1')
    one, two = run(b'-j1', b'.'), run(b'-j2', b'.')
    assert one.out == two.out and one.code == two.code == 0
    assert one.paths()[b'./a'] == reference([b'./a'])[b'./a']


@test
def what_cannot_be_read_is_reported_and_the_rest_goes_on():
    make(b'good', b'good')
    os.symlink(b'nowhere', os.path.join(TREE, b'dangling'))
    result = run(b'--follow', b'.', b'missing', b'/proc/self/mem')
    assert result.code == 1 and list(result.paths()) == [b'./good']
    for text in (b'./dangling: No such file or directory', b'missing: No such file or directory',
                 b'/proc/self/mem: '):
        assert text in result.err, text
    assert b', 3 not read' in result.err
    assert run(b'.').code == 0, 'a link that is not followed is no error'
    make(b'secret', b'')
    os.chmod(os.path.join(TREE, b'secret'), 0)
    os.mkdir(os.path.join(TREE, b'closed'), 0)
    result = run(b'.')
    if os.geteuid() != 0:
        assert result.code == 1
        assert b'./secret: Permission denied' in result.err
        assert b'./closed: Permission denied' in result.err
    assert b'./good' in result.paths()


@test
def special_files_are_noted_and_left_out():
    make(b'file', b'x')
    os.mkfifo(os.path.join(TREE, b'fifo'))
    server = socket.socket(socket.AF_UNIX)
    here = os.getcwd()
    os.chdir(TREE)
    server.bind('sock')
    os.chdir(here)
    result = run(b'.')
    server.close()
    assert result.code == 0 and list(result.paths()) == [b'./file']
    assert b'./fifo: skipped, a pipe' in result.err and b'./sock: skipped, a socket' in result.err
    assert b', 2 skipped' in result.err
    assert run(b'fifo', b'/dev/null').err.count(b'skipped, ') == 2
    assert run(b'--quiet', b'.').err == b''


@test
def links_are_followed_once_asked_and_loops_end():
    os.makedirs(os.path.join(TREE, b'a/b'))
    make(b'a/b/f', b'1')
    os.symlink(b'..', os.path.join(TREE, b'a/b/up'))
    os.symlink(b'../..', os.path.join(TREE, b'a/b/top'))
    os.symlink(b'.', os.path.join(TREE, b'self'))
    os.symlink(b'a', os.path.join(TREE, b'other'))
    os.symlink(b'a/b/f', os.path.join(TREE, b'to-file'))
    os.symlink(b'ring2', os.path.join(TREE, b'ring1'))
    os.symlink(b'ring1', os.path.join(TREE, b'ring2'))
    assert list(run(b'.').paths()) == [b'./a/b/f']
    result = run(b'--follow', b'.', timeout=30)
    assert result.code == 1
    assert list(result.paths()) == [b'./a/b/f', b'./other/b/f', b'./to-file']
    assert result.err.count(b': a loop') == 5, result.err
    assert result.err.count(b'Too many levels of symbolic links') == 2
    assert list(run(b'other').paths()) == [b'other/b/f'], 'an argument is always followed'
    xxhsum_accepts(result.out)


@test
def deep_trees_need_neither_path_max_nor_descriptors():
    depth, name = 3000, b'deep' * 3
    fd = os.open(TREE, os.O_RDONLY)
    expected, path = [], b'.'
    for level in range(depth):
        if level % 10 == 0:
            for leaf in (b'a', b'z'):
                os.close(os.open(leaf, os.O_CREAT | os.O_WRONLY, 0o600, dir_fd=fd))
                expected.append(path + b'/' + leaf)
        os.mkdir(name, dir_fd=fd)
        down = os.open(name, os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd, path = down, path + b'/' + name
    os.close(fd)
    for arguments in ({}, {'files': 48}):
        result = run(b'-j2', b'.', **arguments)
        assert result.code == 0, result.err[-300:]
        assert list(result.paths()) == sorted(expected)


@test
def deep_trees_through_links_come_back_by_name():
    os.mkdir(os.path.join(TREE, b'real'))
    os.symlink(b'real', os.path.join(TREE, b'go'))
    here, path, expected = os.path.join(TREE, b'real'), b'go', []
    for level in range(60):  # go -> real, go/k -> d00, go/k/k -> d01, ...
        for leaf in (b'a', b'z'):
            make(os.path.join(here, leaf), b'%d' % level)
            expected.append(path + b'/' + leaf)
        down = os.path.join(TREE, b'd%02d' % level)
        os.mkdir(down)
        os.symlink(down, os.path.join(here, b'k'))
        here, path = down, path + b'/k'
    result = run(b'--follow', b'go')
    assert result.code == 0, result.err[-300:]
    assert list(result.paths()) == sorted(expected)


@test
def huge_directories_stay_in_memory_and_in_order():
    count = 120000
    folder = os.path.join(TREE, b'huge')
    os.mkdir(folder)
    for i in range(4):
        make(b'seed%d' % i, b'%d' % i)
    order = list(range(count))
    random.Random(3).shuffle(order)
    fd = os.open(folder, os.O_RDONLY)
    for i in order:  # names of 205 bytes: 25 MB, more than one directory may use
        name = b'%06d' % i + b'x' * 199
        try:
            os.link(os.path.join(TREE, b'seed%d' % (i % 4)), name, dst_dir_fd=fd)
        except OSError:
            os.close(os.open(name, os.O_CREAT | os.O_WRONLY, 0o600, dir_fd=fd))
    os.close(fd)
    one = run(b'-j1', b'huge')
    assert one.code == 0 and len(one.paths()) == count
    assert list(one.paths()) == sorted(one.paths())
    eight = run(b'-j8', b'huge')
    assert eight.out == one.out
    print(f'# peak {one.peak_kib} and {eight.peak_kib} KiB')


@test
def several_huge_directories_on_the_way_down_share_the_names():
    here, expected, path = TREE, 0, b'.'
    for level in range(5):  # 23 MB of names on the way down: those above are read again
        fd = os.open(here, os.O_RDONLY)
        for i in range(18000):
            leaf = b'%05d' % i + b'y' * 240
            os.close(os.open(leaf, os.O_CREAT | os.O_WRONLY, 0o600, dir_fd=fd))
        os.close(fd)
        expected += 18000
        for sub in (b'00500', b'10000', b'14000'):
            os.mkdir(os.path.join(here, sub))
            make(os.path.join(here, sub, b'one'), b'')
            expected += 1
        here = os.path.join(here, b'10000')
    result = run(b'-j2', b'.')
    assert result.code == 0 and len(result.paths()) == expected
    assert list(result.paths()) == sorted(result.paths())


@test
def few_descriptors_are_enough():
    for a in range(300):
        os.mkdir(os.path.join(TREE, b'%d' % a))
        make(b'%d/f' % a, b'%d' % a)
    wide = run(b'-j8', b'.')
    narrow = run(b'-j8', b'.', files=64)
    assert narrow.code == 0 and narrow.out == wide.out, narrow.err


@test
def files_that_grow_are_reported_not_hashed():
    path = os.path.join(TREE, b'log')
    with open(path, 'wb') as file:
        file.truncate(1 << 30)
    stop = threading.Event()

    def grow():
        with open(path, 'ab') as file:
            while not stop.is_set():
                file.write(b'x')
                file.flush()
    writer = threading.Thread(target=grow)
    writer.start()
    try:
        result = run(b'.')
    finally:
        stop.set()
        writer.join()
    assert result.code == 1 and result.out == b'', (result.code, result.out)
    assert b'./log: changed while it was read' in result.err


@test
def files_that_come_and_go_do_no_harm():
    stop = threading.Event()
    make(b'stays', b'stays')

    def churn():
        generator = random.Random(4)
        while not stop.is_set():
            name = os.path.join(TREE, b'v%d' % generator.randint(0, 50))
            try:
                if generator.random() < 0.5:
                    open(name, 'wb').close()
                elif generator.random() < 0.5:
                    os.unlink(name)
                else:
                    os.mkdir(name + b'd')
                    os.rename(name + b'd', name + b'e')
                    os.rmdir(name + b'e')
            except OSError:
                pass
    churners = [threading.Thread(target=churn) for _ in range(2)]
    for thread in churners:
        thread.start()
    try:
        for _ in range(20):
            result = run(b'.')
            assert result.code in (0, 1)
            assert b'./stays' in result.paths()
            assert (result.code == 1) == (b' not read' in result.err)
    finally:
        stop.set()
        for thread in churners:
            thread.join()


@test
def interrupts_end_it_between_two_lines():
    for i in range(50):
        make(b'a%02d' % i, b'%d' % i)
    with open(os.path.join(TREE, b'b'), 'wb') as file:
        file.truncate(1 << 40)  # minutes
    for number in (signal.SIGINT, signal.SIGTERM):
        child = subprocess.Popen([PROGRAM, b'.'], cwd=TREE, stdout=subprocess.PIPE,
                                 stderr=subprocess.PIPE)
        first = child.stdout.readline()
        time.sleep(0.2)
        child.send_signal(number)
        begin = time.monotonic()
        out, err = child.communicate(timeout=60)
        assert child.returncode == 128 + number, (child.returncode, err)
        assert time.monotonic() - begin < 30
        lines = (first + out).split(b'\n')
        assert lines[-1] == b'' and len(lines) <= 51
        for line in lines[:-1]:
            assert re.fullmatch(rb'XXH3 \(\./a\d\d\) = [0-9a-f]{16}', line), line


@test
def a_closed_or_full_output_ends_it():
    for i in range(4000):  # more jobs than the window has places: walk is stopped on its way
        os.mkdir(os.path.join(TREE, b'%04d' % i + b'x' * 100))
        make(b'%04d' % i + b'x' * 100 + b'/file', b'')
    child = subprocess.Popen([PROGRAM, b'.'], cwd=TREE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    child.stdout.readline()
    child.stdout.close()
    err = child.stderr.read()
    child.stderr.close()
    assert child.wait(60) == 128 + signal.SIGPIPE and err == b'', (child.returncode, err)
    with open('/dev/full', 'wb') as full:
        child = subprocess.run([PROGRAM, b'.'], cwd=TREE, stdout=full, stderr=subprocess.PIPE)
    assert child.returncode == 1 and b'No space left on device' in child.stderr


@test
def json_is_one_object_a_line():
    make(b'plain "quoted" \\ \x01', b'1')
    make('\u00fc\n'.encode(), b'22')
    make(b'bad\xff', b'333')
    os.mkfifo(os.path.join(TREE, b'fifo'))
    result = run(b'--json', b'--quiet', b'.', b'missing')
    objects = [json.loads(line) for line in result.out.split(b'\n')[:-1]]
    assert result.code == 1 and len(objects) == 6
    by_path = {o.get('path', o.get('path_hex')): o for o in objects[:-1]}
    assert by_path['./\u00fc\n']['size'] == 2
    assert by_path['./plain "quoted" \\ \x01']['size'] == 1
    assert by_path[b'./bad\xff'.hex()]['size'] == 3
    assert by_path['missing']['error'] == 'No such file or directory'
    assert by_path['./fifo']['skipped'] == 'a pipe'
    summary = objects[-1]['summary']
    assert summary['files'] == 3 and summary['bytes'] == 6
    assert summary['errors'] == 1 and summary['skipped'] == 1
    assert summary['workers'] >= 1 and summary['seconds'] > 0
    hashes = {o['xxh3'] for o in objects[:-1] if 'xxh3' in o}
    assert hashes == {h.decode() for h in run(b'.').paths().values()}


@test
def roots_are_printed_as_they_were_given():
    os.mkdir(os.path.join(TREE, b'd'))
    make(b'd/f', b'1')
    make(b'g', b'2')
    absolute = os.path.join(TREE, b'd')
    assert list(run().paths()) == [b'./d/f', b'./g']
    assert list(run(b'd').paths()) == [b'd/f'] == list(run(b'd//').paths())
    assert list(run(absolute).paths()) == [absolute + b'/f']
    assert list(run(b'g', b'd', b'g').paths()) == [b'g', b'd/f']
    assert run(b'g', b'd', b'g').out.count(b'\n') == 3
    assert run(b'').code == 1
    assert run(b'/dev/null/x').code == 1
    if not SANITIZED:
        assert b'XXH3 (/proc/self/status) = ' in run(b'/proc/self/status').out


@test
def options_are_checked():
    assert run(b'--help').code == 0 and b'--jobs N' in run(b'--help').out
    assert re.match(rb'treehash \d+\.\d+\.\d+\n', run(b'--version').out)
    for bad in ([b'--jobs', b'0'], [b'--jobs=many'], [b'-j', b'257'], [b'-j', b'-1'], [b'-j'], [b'--nope'],
                [b'-x']):
        result = run(*bad)
        assert result.code == 2 and result.out == b'' and b'treehash' in result.err, bad
    assert run(b'--quiet', b'-j1', b'.').err == b''


@test
def empty_trees_are_fine():
    result = run(b'.')
    assert result.code == 0 and result.out == b'' and b'treehash: 0 files, 0 bytes' in result.err


@test
def progress_is_shown_on_a_terminal_only():
    with open(os.path.join(TREE, b'big'), 'wb') as file:
        file.truncate(1 << 40)
    leader, follower = pty.openpty()
    child = subprocess.Popen([PROGRAM, b'.'], cwd=TREE, stdout=subprocess.DEVNULL, stderr=follower)
    os.close(follower)
    seen = b''
    while b'GB/s' not in seen:
        seen += os.read(leader, 4096)
    child.send_signal(signal.SIGINT)
    assert child.wait(60) == 130
    os.close(leader)
    assert re.search(rb'\d+ files, \d+\.\d\d GB, \d+\.\d\d GB/s', seen), seen


@test
def bash_completes_options():
    bash = shutil.which('bash')
    if not bash:
        raise Skip('no bash')
    script = 'source "$1"; COMP_WORDS=(treehash --j); COMP_CWORD=1; _treehash; printf "%s\\n" "${COMPREPLY[@]}"'
    out = subprocess.run([bash, '-c', script, '-', COMPLETION], capture_output=True, text=True)
    assert out.stdout.split() == ['--jobs', '--json'], out


def main():
    global TREE
    wanted = [t for t in TESTS if not sys.argv[3:] or any(w in t.__name__ for w in sys.argv[3:])]
    print(f'TAP version 13\n1..{len(wanted)}', flush=True)
    failed = 0
    for number, function in enumerate(wanted, 1):
        TREE = tempfile.mkdtemp(prefix='treehash-').encode()
        begin = time.monotonic()
        verdict, note = 'ok', ''
        try:
            function()
        except Skip as skip:
            note = f' # SKIP {skip}'
        except Exception as error:  # a failed assertion, a time-out
            import traceback
            print('\n'.join('# ' + line for line in traceback.format_exc().splitlines()[-6:]))
            verdict, failed = 'not ok', failed + 1
        finally:
            subprocess.run(['chmod', '-R', 'u+rwx', TREE], stderr=subprocess.DEVNULL)
            subprocess.run(['rm', '-rf', TREE])
        print(f'{verdict} {number} - {function.__name__}{note}', flush=True)
        print(f'# {time.monotonic() - begin:.2f} s', flush=True)
    return 1 if failed else 0


sys.exit(main())
