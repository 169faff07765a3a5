"""What the commands draw where a person looks."""

import re

import pytest
from tests.cli.conftest import Stack

ESCAPE = re.compile(r"\x1b(?:\[[0-9;?]*[a-zA-Z])?")
HOSTILE = "\x1b]0;owned\x07 \x1b[2J \u202egpj \x9b1A\r\x08 中文🎉👨\u200d👩\u200d👧\u200d👦 e\u0301" * 3


def plain(drawn: str) -> list[str]:
    return re.sub(ESCAPE, "", drawn).replace("\r", "").splitlines()


@pytest.mark.covers("NEW-SEC-002")
@pytest.mark.parametrize("columns", [40, 100])
def test_hostile_text_cannot_act_on_the_terminal_of_any_width(staffed: Stack, columns: int) -> None:
    task = staffed.submit("--", HOSTILE)
    staffed.run("task", "result", task, "--wait")
    for command in (
        ["task", "list"],
        ["task", "show", task],
        ["task", "watch", task],
        ["events", "show", task],
        ["task", "show", task, "--json"],
    ):
        drawn = staffed.on_terminal(*command, columns=columns)
        for bad in ("\x1b]", "\x1b[2J", "\u202e", "\x9b", "\x07", "\x08", "Traceback"):
            assert bad not in drawn, (command, bad)
        drawn.encode()


def test_a_list_is_a_table_that_fits(staffed: Stack) -> None:
    task = staffed.submit("x" * 300)
    staffed.run("task", "result", task, "--wait")
    row = ""
    for _ in range(100):  # the table follows the log
        head, *rows = plain(staffed.on_terminal("task", "list", "--limit", "1", columns=100))
        assert head.split()[:3] == ["ID", "STATE", "ROLE"]
        row = next((row for row in rows if row.startswith(task[-12:])), "")
        if "completed" in row:
            break
    assert len(row.rstrip()) <= 100 and row.rstrip().endswith("x…")


def test_colours_can_be_turned_off(staffed: Stack) -> None:
    staffed.submit("x")
    assert re.search(r"\x1b\[[0-9;]*3\dm", staffed.on_terminal("task", "list"))
    assert not re.search(r"\x1b\[[0-9;]*3\dm", staffed.on_terminal("task", "list", environment={"NO_COLOR": "1"}))


def test_watch_ends_with_the_state_of_every_task(staffed: Stack) -> None:
    tasks = [staffed.submit("a"), staffed.submit("b")]
    drawn = plain(staffed.on_terminal("task", "watch", *tasks, columns=120))
    for task in tasks:
        assert any(task[-12:] in line and "✓" in line and "completed" in line for line in drawn)
    assert any("2 of 2 over" in line for line in drawn)


def test_a_terminal_that_knows_no_unicode_stops_nothing(staffed: Stack) -> None:
    task = staffed.submit("中文 🎉")
    staffed.run("task", "result", task, "--wait")
    drawn = staffed.on_terminal("task", "show", task, environment={"PYTHONIOENCODING": "ascii", "LC_ALL": "C"})
    assert "Traceback" not in drawn and "\\u4e2d" in drawn
