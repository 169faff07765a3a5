"""A process of the stack ends with its parent, however that ends, and is told from others with the same number."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from cca.stack.program import Account, Mark, Program, mark, unprivileged

SLEEP = (sys.executable, "-c", "import time; print('up', flush=True); time.sleep(600)")

linux = pytest.mark.skipif(sys.platform != "linux", reason="the kernel of Linux does this")
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")


def program(tmp_path: Path, *argv: str, account: Account | None = None) -> Program:
    return Program(name="x", argv=argv, env={"PATH": os.defpath}, cwd=tmp_path, account=account)


def output(tmp_path: Path, script: str, account: Account | None = None) -> str:
    command = program(tmp_path, "/bin/sh", "-c", script, account=account).command()
    return subprocess.run(command, capture_output=True, text=True, check=True, cwd="/").stdout


def test_a_mark_is_of_this_process_alone() -> None:
    me = mark(os.getpid())
    assert me.alive()
    assert not Mark(me.pid, "another start").alive()


def test_a_process_that_has_ended_is_not_alive_even_before_anybody_looked_at_its_end() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        its = mark(process.pid)
        assert its.alive()
        process.kill()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # it is a zombie now
        assert not its.alive()
        its.signal(signal.SIGKILL)  # and is not signalled


@linux
def test_a_process_ends_when_its_parent_is_killed(tmp_path: Path, until: Callable[[Callable[[], bool]], None]) -> None:
    parent = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import subprocess, sys, pathlib\n"
            "from cca.stack.program import Program\n"
            f"p = Program(name='x', argv={SLEEP!r}, env={{}}, cwd=pathlib.Path('/'))\n"
            "c = subprocess.Popen(p.command(), stdout=subprocess.PIPE)\n"
            "c.stdout.readline()\n"
            "print(c.pid, flush=True)\n"
            "sys.stdin.read()\n",
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert parent.stdout is not None and parent.stdin is not None
    child = mark(int(parent.stdout.readline()))
    assert child.alive()
    parent.kill()
    parent.communicate()
    until(lambda: not child.alive())


@linux
def test_a_process_whose_parent_has_gone_already_does_not_start(tmp_path: Path) -> None:
    command = program(tmp_path, "/bin/true").command()
    command[4] = "1"  # another parent than ours
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, "the parent has gone\n")


def test_a_program_that_is_not_there_is_named(tmp_path: Path) -> None:
    done = subprocess.run(program(tmp_path, "/nowhere").command(), capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == "/nowhere cannot be started: No such file or directory\n"


@linux
@as_root
def test_root_becomes_an_ordinary_user_that_can_read_below_closed_directories_and_write_nothing(
    tmp_path: Path,
) -> None:
    account = unprivileged(tmp_path / "nothing")
    assert account is not None and account.uid != 0
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    (closed / "file").write_text("seen")
    (closed / "file").chmod(0o600)
    assert output(tmp_path, "id -u; id -G", account).split() == [str(account.uid), str(account.gid)]
    assert output(tmp_path, f"cat {closed}/file", account) == "seen"
    # access(2) has rules of its own, and PostgreSQL looks for its programs with it.
    assert output(tmp_path, f"test -r {closed}/file && echo yes", account) == "yes\n"
    assert output(tmp_path, f"echo x > {closed}/file 2>/dev/null || echo refused", account) == "refused\n"


@as_root
def test_what_belongs_to_an_ordinary_user_is_run_as_that_user(tmp_path: Path) -> None:
    os.chown(tmp_path, 12345, 54321)
    assert unprivileged(tmp_path) == Account(12345, 54321)


@linux
@as_root
def test_where_only_root_is_known_it_gets_another_number(tmp_path: Path) -> None:
    python = ["unshare", "-r", sys.executable]
    if subprocess.run([*python, "-c", ""], capture_output=True, check=False).returncode != 0:
        pytest.skip("no user namespaces, or this Python is out of their reach")
    script = (
        "import os, subprocess, pathlib\n"
        "from cca.stack.program import Account, Program\n"
        "nobody, root = Account(65534, 65534), pathlib.Path('/')\n"
        "p = Program(name='x', argv=('/usr/bin/id', '-u'), env={}, cwd=root, account=nobody)\n"
        "os.execv(p.command()[0], [*p.command()[:4], str(os.getppid()), *p.command()[5:]])\n"
    )
    done = subprocess.run([*python, "-c", script], capture_output=True, text=True, check=False)
    assert done.stdout == "65534\n", done.stderr
