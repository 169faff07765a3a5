"""`cca dead` against a real stack: from a message that nobody can read to its redrive."""

import asyncio
import json
import os
import subprocess
import time
from pathlib import Path
from uuid import uuid4

import pytest
from tests.cli.conftest import COMMAND, Stack

from cca.config import NatsSettings
from cca.nats.bus import connect


def publish(stack: Stack, subject: str, body: bytes) -> None:
    """As a plain NATS client would."""
    found = stack.run("env", "--json").json

    async def send() -> None:
        settings = NatsSettings(url=found["nats"], user=found["nats_user"], password=found["api_key"])
        async with connect(settings, "test") as bus:
            await bus.nc.jetstream().publish(subject, body)

    asyncio.run(send())


def letters(stack: Stack, *arguments: str, count: int = 1) -> list[list[str]]:
    """The listed dead letters, once there are so many."""
    deadline = time.monotonic() + 30
    while len(lines := stack.run("dead", "list", *arguments).lines) < count:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return [line.split("\t") for line in lines]


def test_an_unreadable_task_is_listed_shown_mended_and_sent_back(stack: Stack, tmp_path: Path) -> None:
    mark = f"role-{uuid4().hex[:8]}"
    publish(stack, f"cca.tasks.{mark}", b'{"description": "\x1b[2J')
    letter = next(row for row in letters(stack) if row[4] == f"cca.tasks.{mark}")
    number, status, service = letter[:3]
    assert (status, service) == ("open", "router")

    shown = stack.run("dead", "show", number)
    assert '{"description": "\\x1b[2J' in shown.out and "\x1b" not in shown.out
    assert stack.run("dead", "show", number, "--json").json["body"] == '{"description": "\x1b[2J'

    dry = stack.run("dead", "redrive", number, "--dry-run")
    assert (dry.code, dry.out) == (0, f"{number}\twould go back to cca.tasks.{mark}\n")
    (tmp_path / "mended").write_text('{"description": "mended"}')
    sent = stack.run("dead", "redrive", number, "--body", f"@{tmp_path / 'mended'}")
    assert (sent.code, sent.out) == (0, f"{number}\tsent to cca.tasks.{mark}\n")
    assert next(row for row in letters(stack) if row[0] == number)[1] == "redriven"
    deadline = time.monotonic() + 30
    while not stack.run("task", "list", "--role", mark, "--search", "mended").lines:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_task_that_failed_for_good_is_tried_again(staffed: Stack) -> None:
    task = staffed.submit("fail")
    staffed.run("task", "result", task, "--wait")
    letters(staffed, "--reason", "luck", "--open")
    number = next(row[0] for row in letters(staffed) if row[6] == task)
    ran = staffed.run("dead", "redrive", number, "--json")
    assert json.loads(ran.out)["done"] is True
    kinds = [line.split("\t")[2] for line in staffed.run("task", "watch", task).lines]
    assert "retried" in kinds and kinds.count("failed") == 2


def test_a_selection_goes_back_once(stack: Stack) -> None:
    role = f"role-{uuid4().hex[:8]}"
    for number in range(3):
        publish(stack, f"cca.tasks.{role}", b'{"%d' % number)
    while sum(row[4] == f"cca.tasks.{role}" for row in letters(stack, "--reason", "json", "--all")) < 3:
        pass
    open_now = {row[0] for row in letters(stack, "--reason", "json", "--open", "--all")}
    ran = stack.run("dead", "redrive", "--reason", "json", "--json")
    assert {str(json.loads(line)["number"]) for line in ran.lines} == open_now
    assert not open_now & {row[0] for row in letters(stack, "--open", "--all", count=0)}


@pytest.mark.parametrize(
    "arguments",
    [
        ["redrive"],
        ["redrive", "1", "--all"],
        ["redrive", "1", "2", "--body", "x"],
        ["redrive", "987654321"],
        ["show", "987654321"],
        ["show", "0"],
        ["show", "x"],
        ["list", "--limit", "0"],
    ],
    ids=" ".join,
)
def test_bad_input_is_exit_code_2(stack: Stack, arguments: list[str]) -> None:
    ran = stack.run("dead", *arguments)
    assert ran.code == 2
    assert "Error: " in ran.err and "Traceback" not in ran.err


def test_without_nats_it_is_exit_code_3_and_one_sentence() -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("CCA_")}
    ran = subprocess.run(
        [*COMMAND, "dead", "list"],
        env=environment | {"CCA_NATS_URL": "nats://127.0.0.1:1"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (ran.returncode, ran.stdout) == (3, "")
    assert ran.stderr == "Error: cannot reach NATS at nats://127.0.0.1:1\n"
