"""A pytest plugin: `--covers` prints which acceptance ids are shown by which tests, and which by none.

Load it with `-p cca.testing.covers`. The ids are in the file that the ini option `acceptance` names, one a line:
id, the release from which on it must be covered (or `-`), title. Together with `--collect-only` nothing runs, and
a test counts by being there; otherwise an id is covered when tests with it ran, and none of them failed.
"""

from collections.abc import Generator
from pathlib import Path

import pytest
from msgspec import Struct

IDS = pytest.StashKey["dict[str, AcceptanceId]"]()
MARKED = pytest.StashKey["dict[str, set[str]]"]()
PASSED = pytest.StashKey["set[str]"]()
FAILED = pytest.StashKey["set[str]"]()


class AcceptanceId(Struct, frozen=True):
    """Something that a test must show. `since`: the release from which on; None for some later one."""

    id: str
    since: str | None
    title: str


def read(file: Path) -> dict[str, AcceptanceId]:
    """The acceptance ids of a file, in its order. Raises `ValueError` on a line that is none, or comes twice."""
    found: dict[str, AcceptanceId] = {}
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        words = line.split(maxsplit=2)
        if len(words) != 3 or words[0] in found:
            raise ValueError(f"{file.name}, line {number}: expected a new id, a release or -, and a title")
        found[words[0]] = AcceptanceId(words[0], None if words[1] == "-" else words[1], words[2])
    return found


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--covers", action="store_true", help="print which acceptance ids are covered, and which are not")
    parser.addini("acceptance", "file of the acceptance ids", type="string", default="tests/acceptance.txt")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "covers(*ids): the acceptance ids that this test shows to be fixed")
    file = config.rootpath / str(config.getini("acceptance"))
    try:
        config.stash[IDS] = read(file) if file.exists() else {}
    except ValueError as error:
        raise pytest.UsageError(str(error)) from None
    config.stash[MARKED] = {}
    config.stash[PASSED], config.stash[FAILED] = set(), set()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    known, marked = config.stash[IDS], config.stash[MARKED]
    for item in items:
        for marker in item.iter_markers("covers"):
            if unknown := [id for id in marker.args if id not in known]:
                raise pytest.UsageError(f"{item.nodeid} covers {', '.join(map(repr, unknown))}, which nobody listed")
            for id in marker.args:
                marked.setdefault(id, set()).add(item.nodeid)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.failed:
        item.config.stash[FAILED].add(item.nodeid)
    elif report.when == "call" and report.passed:
        item.config.stash[PASSED].add(item.nodeid)
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if not config.getoption("--covers"):
        return
    marked, passed, failed = config.stash[MARKED], config.stash[PASSED], config.stash[FAILED]
    collected = config.getoption("--collect-only")
    terminalreporter.section("acceptance")
    covered = 0
    for entry in config.stash[IDS].values():
        tests = marked.get(entry.id, set())
        if tests & failed:
            word = "failed"
        elif tests & passed or (tests and collected):
            word, covered = "covered", covered + 1
        else:
            word = "not run" if tests else "DUE" if entry.since else "later"
        terminalreporter.write_line(f"{word:<8} {entry.id:<14} {entry.title}")
        for test in sorted({test.split("[")[0] for test in tests}):  # once, whatever its parameters
            terminalreporter.write_line(f"{'':<24}{test}")
    terminalreporter.write_line(f"{covered} of {len(config.stash[IDS])} covered")
