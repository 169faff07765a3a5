"""`--covers` says which acceptance ids are shown by a test that passed, and refuses ids that nobody listed."""

import subprocess
import sys
from pathlib import Path

import pytest

from cca.testing import covers

LISTED = "# id, release, title\nA-1  0.1  The first fault\nA-2  0.1  The second fault\nA-3  -    The third fault\n"
TESTS = """\
import pytest

@pytest.mark.covers("A-1")
@pytest.mark.parametrize("n", [1, 2])
def test_good(n):
    pass

@pytest.mark.covers("A-3")
def test_bad():
    assert False
"""


def run(folder: Path, *options: str, tests: str = TESTS) -> subprocess.CompletedProcess[str]:
    (folder / "listed.txt").write_text(LISTED, encoding="utf-8")
    (folder / "pytest.ini").write_text("[pytest]\nacceptance = listed.txt\n", encoding="utf-8")
    (folder / "test_it.py").write_text(tests, encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-p", "cca.testing.covers", "-p", "no:cacheprovider", "-q", *options]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def test_an_id_is_covered_by_a_test_that_passed(tmp_path: Path) -> None:
    said = run(tmp_path, "--covers").stdout
    assert "covered  A-1            The first fault" in said
    assert "DUE      A-2            The second fault" in said
    assert "failed   A-3            The third fault" in said
    assert "1 of 3 covered" in said
    assert said.count("test_it.py::test_good\n") == 1


def test_when_nothing_runs_a_test_counts_by_being_there(tmp_path: Path) -> None:
    said = run(tmp_path, "--covers", "--collect-only").stdout
    assert "covered  A-3            The third fault" in said
    assert "2 of 3 covered" in said


def test_one_failure_among_the_parameters_is_no_coverage(tmp_path: Path) -> None:
    half = TESTS.replace("    pass", "    assert n == 1")
    assert "failed   A-1            The first fault" in run(tmp_path, "--covers", tests=half).stdout


def test_without_the_option_nothing_is_printed(tmp_path: Path) -> None:
    assert "covered" not in run(tmp_path).stdout


def test_an_id_that_nobody_listed_is_a_mistake(tmp_path: Path) -> None:
    done = run(tmp_path, tests=TESTS.replace("A-3", "A-9"))
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert "covers 'A-9', which nobody listed" in done.stderr


def test_a_list_that_cannot_be_read_names_the_line(tmp_path: Path) -> None:
    file = tmp_path / "listed.txt"
    file.write_text(LISTED + "A-1  0.1  Once more\n", encoding="utf-8")
    with pytest.raises(ValueError, match="line 5"):
        covers.read(file)
