"""`cca code` against a gateway whose jobs get on with each look: what it is asked, what is shown, and exit codes."""

import asyncio
import signal
import subprocess
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from tests.cli.conftest import COMMAND
from tests.cli.stand_in import Asked, StandIn, as_person, cca, problem, standing

from cca.cli.hits import excerpt, why_text
from cca.contracts.code import (
    CodeHit,
    CodeHits,
    CodeJob,
    CodeJobs,
    CodeProject,
    CodeStats,
    IndexCode,
    SearchCode,
    Tally,
)
from cca.contracts.search import EmbedderInfo, Why

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
JOB = "019a0000-0000-7000-8000-00000000000a"
OTHER = "019a0000-0000-7000-8000-00000000000b"
CODE = 'def read(path):\n    """Read it."""\n\n    with open(path) as file:  # \x1b[2J\n        return list(file)\n'
HIT = CodeHit(
    *("web", "src/read.py", "python", "function", "read", "def read(path)", 10, 14, CODE, 0.75),
    Why(0.5, 1, 0.25, 3, 0.5, ("list", "file")),
)


class Jobs:
    """A job that has looked at `step` files more at each look, and is then over."""

    def __init__(self) -> None:
        self.job = CodeJob(JOB, "/src/web", "web", "running", Tally(files=40), NOW)
        self.step, self.end = 10, "completed"
        self.failures: dict[str, str] = {}
        self.canceled = asyncio.Event()
        self.looks = asyncio.Semaphore(0)

    def __call__(self, asked: Asked) -> Any:
        parts = asked.path.split("/")[2:]
        match asked.method, parts:
            case "POST", ["index"]:
                said = msgspec.json.decode(asked.body, type=IndexCode)
                self.job = replace(self.job, path=said.path, project=said.project or "web")
                return self.job
            case "GET", ["jobs"]:
                return CodeJobs((replace(self.job, job=OTHER, state="failed", problem="the \x1b[2J disk"), self.job))
            case "GET", ["jobs", job] if job == JOB:
                return self._look()
            case "POST", ["jobs", job, "cancel"] if job == JOB:
                self.canceled.set()
                self.job = replace(self.job, state="canceled")
                return self.job
            case "POST", ["search"]:
                return CodeHits((HIT,), "hybrid", "minilm", "", False, 2.5)
            case "GET", ["stats"]:
                project = CodeProject("web", "/src/web", 40, 123, 4_567, {"python": 100, "go": 23}, NOW)
                return CodeStats((project,), ("/src",), (EmbedderInfo("minilm", "r", 384, "active", 123, 123),))
            case "DELETE", ["projects", "web"]:
                return CodeStats((), ("/src",), ())
        return problem(404, "not-found", "There is no such thing")

    def _look(self) -> CodeJob:
        self.looks.release()
        done = min(self.job.tally.done + self.step, 40)
        tally = replace(self.job.tally, done=done, indexed=done, chunks=3 * done, added=3 * done)
        self.job = replace(self.job, tally=tally)
        if done == 40:
            tally = replace(tally, failed=len(self.failures))
            fields: Any = {"state": self.end, "tally": tally, "failures": self.failures, "embedded": 60}
            self.job = replace(self.job, ended_at=NOW, duration_s=2.0, **fields)
        return self.job


@pytest.fixture
def jobs() -> Jobs:
    return Jobs()


@pytest.fixture
async def gateway(jobs: Jobs, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[StandIn]:
    async with standing(jobs, monkeypatch) as found:
        yield found


def looked(gateway: StandIn) -> int:
    return sum(asked.path == f"/code/jobs/{JOB}" for asked in gateway.asked)


async def test_index_waits_until_the_job_is_over(
    gateway: StandIn, jobs: Jobs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    ran = await cca(
        *("code", "index", "sub/..", "--project", "lib", "--include", "src/", "--exclude", "*.min.js"),
        *("--language", "python", "--language", "go", "--force"),
    )
    assert ran.code == 0, ran.err
    assert msgspec.json.decode(gateway.asked[0].body, type=IndexCode) == IndexCode(
        str(tmp_path), "lib", ("src/",), ("*.min.js",), ("python", "go"), True
    )
    assert looked(gateway) == 4
    assert ran.lines == [f"{JOB}\tlib\tcompleted\t40\t40\t120\t2026-05-01T12:00:00.000Z\t2.000\t"]
    assert ran.err == ""


async def test_a_job_that_failed_is_exit_code_1(gateway: StandIn, jobs: Jobs) -> None:
    jobs.end, jobs.failures = "failed", {"a.py": "not \x1b[2J to be read"}
    ran = await cca("code", "index", "/src/web")
    assert ran.code == 1 and ran.err == "a.py: not \\x1b[2J to be read\n"
    assert (await cca("code", "index", "/src/web", "--json")).json["state"] == "failed"


async def test_without_waiting_only_the_id_is_printed(gateway: StandIn) -> None:
    assert (await cca("code", "index", "/src/web", "--no-wait")).out == f"{JOB}\n"
    assert not looked(gateway)


@pytest.mark.parametrize("cancel", [False, True])
async def test_an_interrupt_leaves_the_job_running_unless_it_is_to_be_canceled(
    gateway: StandIn, jobs: Jobs, cancel: bool
) -> None:
    jobs.step = 0
    arguments = [*COMMAND, "code", "index", "/src/web", *(["--cancel-on-interrupt"] if cancel else [])]
    process = await asyncio.create_subprocess_exec(*arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    await jobs.looks.acquire()
    await jobs.looks.acquire()
    process.send_signal(signal.SIGINT)
    out, err = await process.communicate()
    assert (process.returncode, out) == (130, b""), err
    assert jobs.canceled.is_set() is cancel
    assert (f"the job {JOB} is canceled" if cancel else "the job goes on: `cca code status") in err.decode()


async def test_jobs_are_listed_shown_and_canceled_by_a_part_of_their_id(gateway: StandIn, jobs: Jobs) -> None:
    ran = await cca("code", "status", "--project", "web", "--limit", "5")
    assert gateway.asked[-1].query == {"project": "web", "limit": "5"}
    assert [line.split("\t")[:3] for line in ran.lines] == [[OTHER, "web", "failed"], [JOB, "web", "running"]]
    assert (await cca("code", "status", "00000a")).out.startswith(f"{JOB}\tweb\trunning\t10\t40\t30\t")
    assert (await cca("code", "status", "019a0000")).code == 2  # it is two
    assert (await cca("code", "status", "no/id")).code == 2
    assert (await cca("code", "status", "--wait")).code == 2
    assert (await cca("code", "status", "01234567")).code == 2
    assert (await cca("code", "status", JOB, "--wait")).code == 0
    ran = await cca("code", "cancel", "00000a", "01234567")
    assert ran.code == 2 and ran.lines == [f"{JOB}\tcanceled"] and "Error: 01234567: " in ran.err


async def test_hits_have_a_place_and_a_reason(gateway: StandIn) -> None:
    ran = await cca(
        *("code", "search", "read a file", "--project", "web", "--language", "python", "--kind", "function"),
        *("--path", "src/", "--limit", "3", "--mode", "dense", "--explain"),
    )
    assert msgspec.json.decode(gateway.asked[-1].body, type=SearchCode) == SearchCode(
        "read a file", "web", ("python",), ("function",), "src/", 3, "dense"
    )
    line = "0.7500\tweb\tsrc/read.py\t10\t14\tpython\tfunction\tread\tdef read(path)\t"
    assert ran.lines == [line + "meaning 0.500 (1st); words 0.250 (3rd); 50% of the terms by weight: list, file"]
    assert ran.err == "ranked hybrid, not dense\n"
    assert (await cca("code", "search", "x", "--json")).json["items"][0]["text"] == CODE


async def test_a_person_sees_the_lines_that_say_most(
    gateway: StandIn, jobs: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    as_person(monkeypatch)
    ran = await cca("code", "search", "list", "--lines", "2", "--explain")
    assert ran.out.splitlines()[0] == "0.750  src/read.py:10-14  function read  web"
    assert ran.out.splitlines()[2:4] == [
        "     13      with open(path) as file:  # \\x1b[2J",
        "     14          return list(file)",
    ]
    assert "50% of the terms" in ran.out and "hybrid with minilm, 2.5 ms" in ran.err
    jobs.failures = {"a.py": "not to be read"}
    ran = await cca("code", "index", "/src/web")
    assert "✓ completed  web" in ran.out and "40 of 40 files (40 indexed, 1 failed)" in ran.out
    assert "120 chunks (120 new, 0 kept, 0 dropped) in 2.0 s" in ran.out
    assert "20 files/s, 60 chunks/s" in ran.out and "60 of 120 chunks so far" in ran.out
    assert "a.py: not to be read" in ran.out
    listed = (await cca("code", "status")).out
    assert "CHUNKS" in listed and "the \\x1b[2J" in listed and "\x1b[2J" not in listed
    stats = (await cca("code", "stats")).out
    assert "python 100, go 23" in stats and "4.5 KiB" in stats and "123 of 123 (100%)" in stats and "/src" in stats


async def test_the_index_is_counted_and_projects_are_dropped(gateway: StandIn) -> None:
    line = "web\t40\t123\t4567\t2026-05-01T12:00:00.000Z\tpython=100, go=23\t/src/web"
    assert (await cca("code", "stats")).lines == [line]
    ran = await cca("code", "drop", "other", "web")
    assert ran.code == 2 and ran.lines == ["web\tis no longer in the index"] and "Error: other: " in ran.err


@pytest.mark.parametrize(
    "arguments",
    [
        ["index"],
        ["index", "/src", "--project", "Not A Word"],
        ["index", "/src", "--language", "cobol"],
        ["search"],
        ["search", "x", "--limit", "201"],
        ["cancel"],
        ["drop", "Not A Word"],
    ],
    ids=" ".join,
)
async def test_bad_input_is_one_sentence_and_nothing_is_asked(gateway: StandIn, arguments: list[str]) -> None:
    ran = await cca("code", *arguments)
    assert (ran.code, ran.out) == (2, "")
    assert "Error" in ran.err and "Traceback" not in ran.err
    assert not gateway.asked


# ------------------------------------------------------------------------------------------ what is shown of a hit


@given(st.text(), st.lists(st.text(max_size=5), max_size=4), st.integers(1, 8))
def test_an_excerpt_is_lines_of_the_text_and_not_more_than_asked(text: str, terms: Sequence[str], most: int) -> None:
    begin, lines = excerpt(text, terms, most)
    assert 1 <= len(lines) <= most
    assert begin >= 0 and begin + len(lines) <= text.count("\n") + 1
    "".join(lines).encode()


@given(st.lists(st.sampled_from(["nothing", "one", "two", "one two", ""]), min_size=1), st.integers(1, 5))
def test_no_other_place_says_more(lines: list[str], most: int) -> None:
    def said(start: int) -> int:
        part = "\n".join(lines[start : start + most])
        return ("one" in part) + ("two" in part)

    _, shown = excerpt("\n".join(lines), ["ONE", "two"], most)
    found = "\n".join(shown)
    assert ("one" in found) + ("two" in found) == max(said(start) for start in range(len(lines)))


def test_places_are_said_as_people_say_them() -> None:
    ranks = [why_text(Why(dense=0.5, dense_rank=rank)) for rank in (1, 2, 3, 4, 11, 12, 13, 21, 112)]
    places = ["1st", "2nd", "3rd", "4th", "11th", "12th", "13th", "21st", "112th"]
    assert ranks == [f"meaning 0.500 ({place})" for place in places]
    assert why_text(Why()) == ""
