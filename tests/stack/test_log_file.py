"""Log files stay small, lose no line, and are private."""

import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cca.stack.log_file import LogFile


def files(folder: Path) -> list[Path]:
    """Oldest first."""
    return sorted(folder.iterdir(), key=lambda path: -int(path.suffix[1:]) if path.suffix[1:].isdigit() else 0)


@pytest.mark.covers("STAB-014")
def test_rotated_files_are_few_and_small_and_the_newest_lines_are_there(tmp_path: Path) -> None:
    lines = [f"line {number:06}\n".encode() for number in range(2_000)]
    with LogFile(tmp_path / "x.log", limit=1_000, kept=3) as log:
        for line in lines:
            log.write(line)
    found = files(tmp_path)
    assert [path.name for path in found] == ["x.log.3", "x.log.2", "x.log.1", "x.log"]
    assert all(path.stat().st_size <= 1_000 for path in found)
    kept = b"".join(path.read_bytes() for path in found)
    assert b"".join(lines).endswith(kept) and len(kept) > 3_000


@given(st.lists(st.binary(max_size=60), max_size=8), st.integers(10, 100))
def test_nothing_is_lost_or_changed_whatever_the_chunks_are(
    tmp_path_factory: pytest.TempPathFactory, chunks: list[bytes], limit: int
) -> None:
    folder = tmp_path_factory.mktemp("logs")
    with LogFile(folder / "x.log", limit=limit, kept=60) as log:
        for chunk in chunks:
            log.write(chunk)
    found = files(folder)
    assert b"".join(path.read_bytes() for path in found) == b"".join(chunks)
    assert all(path.stat().st_size <= limit for path in found)


def test_a_line_is_not_torn_between_two_files(tmp_path: Path) -> None:
    with LogFile(tmp_path / "x.log", limit=25, kept=9) as log:
        log.write(b"0123456789\n" * 7)
    assert {path.read_bytes() for path in tmp_path.iterdir()} == {b"0123456789\n" * 2, b"0123456789\n"}


def test_a_log_goes_on_where_an_earlier_process_ended(tmp_path: Path) -> None:
    for word in (b"one\n", b"two\n"):
        with LogFile(tmp_path / "x.log") as log:
            log.write(word)
    assert (tmp_path / "x.log").read_bytes() == b"one\ntwo\n"


def test_the_last_lines_are_remembered(tmp_path: Path) -> None:
    with LogFile(tmp_path / "x.log") as log:
        log.write(b"first\nsec")
        log.write(b"ond\n\n")
        assert log.last == "second"
        assert log.tail == ["first", "second", ""]


def test_a_log_is_readable_by_its_owner_alone(tmp_path: Path) -> None:
    with LogFile(tmp_path / "x.log", limit=5) as log:
        log.write(b"one\ntwo\nthree\n")
    assert {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()} == {0o600}
