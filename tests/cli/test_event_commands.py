"""`cca events` against a real stack."""

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from tests.cli.conftest import Stack

from cca.cli.events import pattern
from cca.ids import uuid7


def test_the_history_of_a_task_is_a_line_for_each_event(staffed: Stack) -> None:
    task = staffed.submit("evil \x1b[2J")
    staffed.run("task", "result", task, "--wait")
    ran = staffed.run("events", "show", task)
    rows = [line.split("\t") for line in ran.lines]
    assert [row[2] for row in rows] == ["submitted", "routed", "started", "completed"]
    assert {row[3] for row in rows} == {f"task.{task}"}
    tailed = staffed.run("events", "tail", "--task", task)
    assert tailed.out == ran.out


def test_an_event_is_shown_in_full_by_its_position(staffed: Stack) -> None:
    task = staffed.submit("evil \x1b[2J\u202e")
    first = staffed.run("events", "show", task, "--json").json[0]
    shown = staffed.run("events", "show", str(first["seq"]), "--json").json
    assert shown == first
    assert shown["data"]["description"] == "evil \x1b[2J\u202e"
    plain = staffed.run("events", "show", str(first["seq"]))
    assert plain.code == 0 and task in plain.out


@pytest.mark.parametrize("what", ["999999999", "0", "x", "9" * 30])
def test_an_event_that_is_not_there_is_exit_code_2(stack: Stack, what: str) -> None:
    ran = stack.run("events", "show", what)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith("Error: ")


def test_types_narrow_the_tail(staffed: Stack) -> None:
    task = staffed.submit("x")
    staffed.run("task", "result", task, "--wait")
    ran = staffed.run("events", "tail", "--task", task, "--type", "completed", "--type", "task.routed", "--json")
    assert [json.loads(line)["type"] for line in ran.lines] == ["cca.task.routed.v1", "cca.task.completed.v1"]
    assert staffed.run("events", "tail", "--task", task, "--type", "no type").code == 2


@pytest.mark.parametrize(
    ("text", "sent"),
    [
        ("completed", "cca.task.completed.*"),
        ("task.completed", "cca.task.completed.*"),
        ("cca.task.completed.v1", "cca.task.completed.v1"),
        ("agent.*", "cca.agent.*"),
        ("*", "cca.*"),
    ],
)
def test_a_type_may_be_said_short(text: str, sent: str) -> None:
    assert pattern(text) == sent


def kill_gateway(stack: Stack) -> None:
    """SIGKILL; the supervisor starts another."""
    gateway = next(part for part in stack.run("status", "--json").json["parts"] if "gateway" in part["name"])
    os.kill(gateway["pid"], signal.SIGKILL)


@contextmanager
def ended(process: subprocess.Popen[str]) -> Iterator[subprocess.Popen[str]]:
    """A process that does not outlive its test, however that ends."""
    with process:
        try:
            yield process
        finally:
            process.kill()


def test_the_tail_goes_on_after_the_gateway_was_killed_and_misses_nothing(staffed: Stack) -> None:
    before = staffed.submit("before")
    last = staffed.run("events", "show", before, "--json").json[-1]["seq"]
    with ended(staffed.start("events", "tail", "--since-seq", str(last), "--json", "--type", "submitted")) as tail:
        assert tail.stdout and tail.stderr
        first = staffed.submit("first")
        assert json.loads(tail.stdout.readline())["data"]["task"] == first

        kill_gateway(staffed)
        # A client is told that nothing listens; it may ask again until the supervisor has started another. With an
        # id of its own, since the one that was killed may have passed the task on already.
        second = uuid7()
        while (ran := staffed.run("task", "submit", "backend", "second", "--id", second)).code == 3:
            pass
        assert ran.code == 0, ran.err
        assert json.loads(tail.stdout.readline())["data"]["task"] == second
        third = staffed.submit("third")
        assert json.loads(tail.stdout.readline())["data"]["task"] == third

        tail.send_signal(signal.SIGINT)
        assert tail.wait(30) == 130
        assert "Traceback" not in tail.stderr.read()


def test_who_watches_goes_on_while_the_gateway_is_started_again(staffed: Stack) -> None:
    task = staffed.submit("hold")
    with ended(staffed.start("task", "watch", task)) as watch:
        assert watch.stdout
        while "progressed" not in watch.stdout.readline():
            pass
        kill_gateway(staffed)
        while staffed.run("task", "cancel", task).code == 3:
            pass
        assert watch.wait(60) == 1
        assert "canceled" in watch.stdout.read()
