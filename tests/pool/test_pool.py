"""The pool: the loop is never held up, a death harms one request, and nobody is left behind."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from cca.errors import Busy, Refused
from cca.pool import pool as pool_module
from cca.pool.pool import SMALL, Pool

ODD = "tests.pool.odd_jobs.do"
ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _found_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """Processes import the odd jobs as `tests…`, from the path that we have."""
    monkeypatch.syspath_prepend(ROOT)


@asynccontextmanager
async def pool(workers: int = 2, cpu_s: int = 30, idle_s: float = 600.0) -> AsyncIterator[Pool]:
    one = Pool(ODD, workers=workers, cpu_s=cpu_s, idle_s=idle_s)
    try:
        yield one
    finally:
        await one.close()
        assert one.pids == []


def large(job: str) -> bytes:
    """A job that counts as large."""
    return job.encode() + b"\0" + b" " * SMALL


async def until(holds: Callable[[], bool], within: float = 20.0) -> None:
    async with asyncio.timeout(within):
        while not holds():
            await asyncio.sleep(0.01)


def lives(pid: int) -> bool:
    """Whether there is such a process; one that has ended and waits for its parent is none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


async def test_processes_are_started_when_the_first_job_comes_and_used_again() -> None:
    async with pool() as one:
        assert one.pids == []
        assert await one.do(b"echo hello") == b"hello"
        (pid,) = one.pids
        assert {await one.do(b"pid") for _ in range(5)} == {str(pid).encode()}
        assert pid != os.getpid() and await one.do(large("pid")) != str(pid).encode()
        assert int(await one.do(b"nice")) == min(os.nice(0) + 10, 19)
        assert await one.do(large("big 6000000")) == b"x" * 6_000_000


async def test_small_jobs_do_not_wait_behind_large_ones() -> None:
    async with pool(workers=1) as one:
        await one.do(b"echo there")
        long = asyncio.create_task(one.do(large("sleep 600")))
        queued = asyncio.create_task(one.do(large("echo later")))
        small = await asyncio.gather(*(one.do(b"echo %d" % number) for number in range(1_000)))
        assert small == [b"%d" % number for number in range(1_000)]
        assert not long.done() and not queued.done()
        for task in (long, queued):
            task.cancel()
        await asyncio.gather(long, queued, return_exceptions=True)


@pytest.mark.parametrize("death", [f"die {signal.SIGKILL}", f"die {signal.SIGTERM}", f"die {signal.SIGSEGV}", "exit"])
async def test_a_process_that_dies_takes_its_job_with_it_and_no_other(death: str) -> None:
    async with pool() as one:
        other = asyncio.create_task(one.do(large("sleep 0.5")))
        await asyncio.sleep(0.1)
        with pytest.raises(Busy, match="has died"):
            await one.do(large(death))
        assert await one.do(large("echo next")) == b"next"
        assert await other == b"done"


async def test_a_process_that_is_killed_while_it_works_is_replaced() -> None:
    async with pool() as one:
        working = asyncio.create_task(one.do(b"sleep 600"))
        await until(lambda: len(one.pids) == 1)
        (pid,) = one.pids
        os.kill(pid, signal.SIGKILL)
        with pytest.raises(Busy):
            await working
        assert await one.do(b"pid") != str(pid).encode()
        assert not lives(pid)


async def test_a_process_that_was_killed_while_idle_is_not_noticed_by_anybody() -> None:
    async with pool() as one:
        pid = int(await one.do(b"pid"))
        os.kill(pid, signal.SIGKILL)
        await until(lambda: not lives(pid))
        await asyncio.sleep(0.1)
        assert await one.do(b"echo still") == b"still"


async def test_what_takes_too_much_of_a_processor_is_refused_and_the_next_is_done() -> None:
    async with pool(cpu_s=1) as one:
        with pytest.raises(Refused, match="more than 1 s") as refused:
            await one.do(b"burn 600")
        assert refused.value.code == "too-hard"
        assert await one.do(b"echo next") == b"next"


async def test_many_jobs_one_after_the_other_have_their_time_each() -> None:
    async with pool(cpu_s=1) as one:
        for _ in range(3):
            assert await one.do(b"burn 0.9") == b"done"


async def test_when_too_many_wait_the_next_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool_module, "WAITING_LARGE", 3)
    async with pool(workers=1) as one:
        tasks = [asyncio.create_task(one.do(large("sleep 600"))) for _ in range(4)]
        await until(lambda: len(one.pids) == 1)
        with pytest.raises(Busy, match="3 requests wait"):
            await one.do(large("echo no"))
        assert await one.do(b"echo small") == b"small"
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert await one.do(large("echo again")) == b"again"


async def test_who_goes_away_takes_the_process_along() -> None:
    async with pool(workers=1) as one:
        asking = asyncio.create_task(one.do(large("sleep 600")))
        await until(lambda: len(one.pids) == 1)
        (pid,) = one.pids
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        assert await one.do(large("echo next")) == b"next"
        await until(lambda: not lives(pid))


async def test_an_idle_pool_is_given_back_and_comes_back() -> None:
    async with pool(idle_s=0.2) as one:
        first = int(await one.do(b"pid"))
        other = int(await one.do(large("pid")))
        await until(lambda: one.pids == [] and not lives(first) and not lives(other))
        assert int(await one.do(b"pid")) not in (first, other)
        working = asyncio.create_task(one.do(b"sleep 1"))
        await asyncio.sleep(0.5)
        assert len(one.pids) == 1 and await working == b"done"


async def test_a_pool_that_closes_finishes_what_is_nearly_done_and_takes_nothing_more() -> None:
    one = Pool(ODD, workers=2)
    working = asyncio.create_task(one.do(large("sleep 0.5")))
    await until(lambda: len(one.pids) == 1)
    pids = one.pids
    closing = asyncio.create_task(one.close())
    await asyncio.sleep(0)
    with pytest.raises(Busy, match="about to stop"):
        await one.do(b"echo no")
    await closing
    assert await working == b"done"
    await until(lambda: not any(map(lives, pids)))


async def test_what_is_not_nearly_done_when_a_pool_closes_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool_module, "GRACE_S", 0.1)
    one = Pool(ODD, workers=1)
    tasks = [asyncio.create_task(one.do(large("sleep 600"))) for _ in range(2)]
    await until(lambda: len(one.pids) == 1)
    pids = one.pids
    await one.close()
    for task in tasks:
        with pytest.raises(Busy, match="about to stop"):
            await task
    await until(lambda: not any(map(lives, pids)))


async def test_a_pool_that_was_never_used_has_nothing_to_close() -> None:
    async with pool() as one:
        pass
    assert one.pids == []


async def test_it_can_be_warmed_up_before_it_is_needed() -> None:
    async with pool() as one:
        await one.warm()
        assert len(one.pids) == 1
