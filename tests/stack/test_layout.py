"""One directory, one supervisor; everything in it is private; nothing in it is believed that others could write."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from cca import keys
from cca.errors import Misconfigured, Refused
from cca.stack import credentials
from cca.stack.layout import Layout


def made(tmp_path: Path) -> Layout:
    layout = Layout(tmp_path / "stack")
    layout.make()
    return layout


@pytest.mark.covers("SEC-011")
def test_of_twenty_supervisors_at_once_exactly_one_lives(tmp_path: Path) -> None:
    made(tmp_path)
    script = (
        "import sys, pathlib\n"
        "from cca.errors import Refused\n"
        "from cca.stack.layout import Layout\n"
        "try:\n"
        f"    Layout(pathlib.Path({str(tmp_path / 'stack')!r})).take()\n"
        "except Refused as error:\n"
        "    sys.exit(str(error))\n"
        "print('mine', flush=True)\n"
        "sys.stdin.read()\n"
    )
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", script],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(20)
    ]
    # The losers end by themselves; the winner holds the lock until its standard input ends.
    winner = None
    for process in processes:
        assert process.stdout is not None
        if process.stdout.readline() == "mine\n":
            assert winner is None
            winner = process
    assert winner is not None
    for process in processes:
        _, said = process.communicate() if process is not winner else (None, "")
        if process is not winner:
            assert process.returncode == 1
            assert f"already runs in {tmp_path / 'stack'} (process {winner.pid})" in said
    winner.communicate()


def test_looking_whether_the_lock_is_taken_keeps_nobody_from_taking_it(tmp_path: Path) -> None:
    layout = made(tmp_path)
    assert not layout.is_taken()
    handle = layout.take()
    assert layout.is_taken()
    assert layout.holder() is not None
    with pytest.raises(Refused, match="already runs"):
        Layout(layout.directory).take()
    os.close(handle)
    assert not layout.is_taken()


def test_everything_that_is_made_is_private(tmp_path: Path) -> None:
    layout = made(tmp_path)
    credentials.ensure(layout.secrets)
    assert stat.S_IMODE(layout.directory.stat().st_mode) == 0o700
    assert stat.S_IMODE(layout.secrets.stat().st_mode) == 0o700
    secrets = list(layout.secrets.iterdir())
    assert {stat.S_IMODE(path.stat().st_mode) for path in secrets} == {0o600}
    assert len(secrets) == 6


def test_a_directory_that_others_can_write_to_is_not_believed(tmp_path: Path) -> None:
    layout = made(tmp_path)
    assert layout.is_private()
    layout.directory.chmod(0o770)
    assert not layout.is_private()


def test_a_directory_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Misconfigured, match=r"file/stack cannot be used"):
        Layout(tmp_path / "file" / "stack").make()


def test_the_secrets_stay_the_same(tmp_path: Path) -> None:
    layout = made(tmp_path)
    assert credentials.ensure(layout.secrets) == credentials.ensure(layout.secrets)


def test_an_admin_key_that_was_lost_is_replaced_and_the_old_one_is_no_longer_valid(tmp_path: Path) -> None:
    layout = made(tmp_path)
    old = credentials.ensure(layout.secrets)
    (layout.secrets / "admin-key").unlink()
    new = credentials.ensure(layout.secrets)
    assert new.admin_key != old.admin_key
    ring = keys.load(new.keys_file, new.pepper)
    assert ring.verify(new.admin_key) is not None
    assert ring.verify(old.admin_key) is None


def test_secrets_are_not_in_their_repr(tmp_path: Path) -> None:
    found = credentials.ensure(made(tmp_path).secrets)
    assert found.admin_key not in repr(found) and found.pepper not in repr(found)
