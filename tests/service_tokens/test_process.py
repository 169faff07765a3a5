"""The service as a process: it stops when told, leaves nobody behind however it ends, and knows all when it is back."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.service_tokens.conftest import LOG, Asker
from tests.whole.fleet import Fleet

from cca.contracts.ledger import RolePolicy
from cca.errors import Busy
from cca.nats.bus import connect
from cca.testing.servers import NatsServer

LARGE = "\n".join(f"{line} {number}" for number in range(40) for line in LOG.split("\n"))[:3_500_000]


@pytest.fixture
async def fleet(nats_server: NatsServer) -> AsyncIterator[Fleet]:
    with Fleet(nats_server) as fleet:
        await fleet.start_service("cca_tokens")
        yield fleet


@pytest.fixture
async def asker(fleet: Fleet) -> AsyncIterator[Asker]:
    async with connect(fleet.nats, "test") as bus:
        yield Asker(bus)


def descendants(pid: int) -> dict[int, str]:
    """The processes below a process, each with the moment of its start: another may get its number later."""
    parents: dict[int, tuple[int, str]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if fields[0] != "Z":
            parents[int(stat.parent.name)] = (int(fields[1]), fields[19])
    found: dict[int, str] = {}
    below = {pid}
    while below:
        below = {child for child, (parent, _) in parents.items() if parent in below and child not in found}
        found |= {child: parents[child][1] for child in below}
    return found


def live(processes: dict[int, str]) -> dict[int, str]:
    """Those that are still there."""
    found = {}
    for pid, start in processes.items():
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if fields[0] != "Z" and fields[19] == start:
            found[pid] = start
    return found


async def gone(processes: dict[int, str]) -> None:
    async with asyncio.timeout(20):
        while live(processes):
            await asyncio.sleep(0.02)


def pid_of(fleet: Fleet) -> int:
    return fleet._running["cca_tokens"].pid


async def working(fleet: Fleet, asker: Asker) -> tuple[dict[int, str], "asyncio.Task[object]"]:
    """Its processes while two of them work: one on a large text, one at rest after a small one."""
    await asker.count("small")
    before = descendants(pid_of(fleet))
    compressing: asyncio.Task[object] = asyncio.create_task(asker.compress(LARGE))
    async with asyncio.timeout(20):
        while len(descendants(pid_of(fleet))) == len(before):
            await asyncio.sleep(0.01)
    return descendants(pid_of(fleet)), compressing


async def test_killed_it_leaves_nobody_behind(fleet: Fleet, asker: Asker) -> None:
    processes, compressing = await working(fleet, asker)
    assert len(live(processes)) >= 3  # two that count, and the one that they were forked from
    fleet.kill("cca_tokens")
    await gone(processes)
    compressing.cancel()
    await asyncio.gather(compressing, return_exceptions=True)


async def test_told_to_stop_it_finishes_and_leaves_nobody_behind(fleet: Fleet, asker: Asker) -> None:
    processes, compressing = await working(fleet, asker)
    assert await asyncio.to_thread(fleet.stop, "cca_tokens") == 0
    await gone(processes)
    try:
        await compressing
    except Busy:
        pass  # it was not done within the grace period, and was told so
    assert "Traceback" not in fleet.log("cca_tokens")


async def test_at_rest_it_stops_at_once(fleet: Fleet, asker: Asker) -> None:
    assert await asyncio.to_thread(fleet.stop, "cca_tokens") == 0
    assert "Traceback" not in fleet.log("cca_tokens")


async def test_a_process_that_is_killed_at_work_is_told_and_replaced(fleet: Fleet, asker: Asker) -> None:
    small = descendants(pid_of(fleet))
    processes, compressing = await working(fleet, asker)
    newest = max(processes.keys() - small.keys())
    os.kill(newest, signal.SIGKILL)
    with pytest.raises(Busy, match="has died"):
        await compressing
    assert (await asker.compress(LOG)).after > 0
    assert "Traceback" not in fleet.log("cca_tokens")


async def test_killed_and_started_again_it_knows_what_it_knew(fleet: Fleet, asker: Asker) -> None:
    await asker.set_policy("backend", RolePolicy(2_000, "gpt-5"))
    reply, condensed = await asker.compress(LOG), await asker.condense(LOG)
    fleet.kill("cca_tokens")
    await fleet.start_service("cca_tokens")
    assert await asker.condense(LOG) == condensed
    assert (await asker.expand(reply.texts[0] or "")).text == LOG


async def test_nats_may_go_and_come_back(fleet: Fleet, asker: Asker, nats_server: NatsServer) -> None:
    reply = await asker.compress(LOG)
    nats_server.kill()
    nats_server.start()

    async def answered() -> str:
        async with asyncio.timeout(30):
            while True:
                try:
                    return (await asker.expand(reply.texts[0] or "")).text
                except Busy:
                    await asyncio.sleep(0.05)

    assert await answered() == LOG
    assert (await asker.compress(LOG)).original == reply.original
