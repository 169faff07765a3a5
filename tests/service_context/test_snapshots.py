"""Snapshots on a real server: what is kept, putting it back, over crashes and within the time that is promised."""

import asyncio
import signal
import subprocess
import sys
from typing import Any

import pytest
from tests.service_context.context_serving import PROJECT, asking, events, serving

from cca.config import NatsSettings
from cca.context.remote import Contexts
from cca.contracts.context import INLINE, ContextDeleted, ContextSet, SnapshotRestored, SnapshotTaken
from cca.errors import Refused
from cca.nats import names, stored, subjects

VALUES: dict[str, Any] = {
    "null": None,
    "text": "ü\0漢",
    "plan": {"step": [1, 2.5, {"done": False}]},
    "middle": "m" * 5_000,
    "files.large": "l" * (INLINE + 1),
}


async def put(asked: Contexts, scope: str = PROJECT) -> None:
    for key, value in VALUES.items():
        await asked.set(scope, key, value, requester="ann")


async def everything(asked: Contexts, scope: str = PROJECT) -> dict[str, Any]:
    return {entry.key: (await asked.get(scope, entry.key)).value for entry in await asked.list(scope)}


async def test_a_scope_is_put_back_to_how_it_was(nats: NatsSettings) -> None:
    async with serving(nats), asking(nats) as (asked, bus):
        await put(asked)
        taken = await asked.snapshot(PROJECT, "before the change", requester="ann")
        assert (taken.keys, taken.note, taken.requester, taken.scope) == (5, "before the change", "ann", PROJECT)
        assert taken.size == sum(entry.size for entry in await asked.list(PROJECT))
        assert taken.revision == max(entry.revision for entry in await asked.list(PROJECT))
        await asked.set(PROJECT, "text", "changed")
        await asked.delete(PROJECT, "middle")
        await asked.set(PROJECT, "new", 1)
        done = await asked.restore(PROJECT, requester="bob")
        assert (done.set, done.deleted, done.unchanged, done.snapshot) == (2, 0, 3, taken.snapshot)
        assert await everything(asked) == VALUES | {"new": 1}
        said = [event for event in await events(bus) if getattr(event, "snapshot", None)]
        assert {event.key for event in said if isinstance(event, ContextSet)} == {"text", "middle"}
        assert all(event.requester == "bob" for event in said if isinstance(event, ContextSet))
        exact = await asked.restore(PROJECT, taken.snapshot, exact=True)
        assert (exact.set, exact.deleted, exact.unchanged) == (0, 1, 5)
        assert await everything(asked) == VALUES
        assert (await events(bus))[-1] == ContextDeleted(PROJECT, "new", None, taken.snapshot)
        again = await asked.restore(PROJECT, exact=True)
        assert (again.set, again.deleted, again.unchanged) == (0, 0, 5)
        kinds = [type(event) for event in await events(bus, "snapshot.project.shop")]
        assert kinds == [SnapshotTaken, SnapshotRestored, SnapshotRestored]


async def test_another_scope_gets_a_copy(nats: NatsSettings) -> None:
    async with serving(nats), asking(nats) as (asked, _):
        await put(asked)
        await asked.snapshot(PROJECT)
        await asked.set("agent:b", "plan", "own")
        await asked.set("agent:b", "other", "own")
        done = await asked.restore(PROJECT, into="agent:b")
        assert (done.set, done.unchanged, done.into) == (5, 0, "agent:b")
        assert await everything(asked, "agent:b") == VALUES | {"other": "own"}
        assert (await asked.restore(PROJECT, into="agent:b")).unchanged == 5
        assert await asked.snapshots("agent:b") == () and await everything(asked) == VALUES


async def test_snapshots_are_listed_newest_first_and_found_by_their_id(nats: NatsSettings) -> None:
    async with serving(nats), asking(nats) as (asked, _):
        with pytest.raises(Refused, match=f"there is no snapshot of {PROJECT}") as refusal:
            await asked.restore(PROJECT)
        assert refusal.value.code == "not-found"
        taken = []
        for number in range(4):
            await asked.set(PROJECT, "n", number)
            taken.append(await asked.snapshot(PROJECT, f"{number}"))
        assert await asked.snapshots(PROJECT) == tuple(reversed(taken))
        assert await asked.snapshots(PROJECT, 2) == (taken[3], taken[2])
        await asked.restore(PROJECT, taken[1].snapshot)
        assert await asked.value(PROJECT, "n") == 1
        await asked.restore(PROJECT)
        assert await asked.value(PROJECT, "n") == 3
        with pytest.raises(Refused, match="no snapshot x"):
            await asked.restore(PROJECT, "x")
        empty = await asked.snapshot("agent:nobody")
        assert (empty.keys, empty.revision) == (0, 0)
        assert (await asked.restore("agent:nobody", exact=True)).set == 0


async def test_what_has_expired_is_neither_kept_nor_put_back(nats: NatsSettings) -> None:
    async with serving(nats, start=False), asking(nats) as (asked, _):
        await asked.set(PROJECT, "short", 1, ttl_s=1)
        long = await asked.set(PROJECT, "long", 1, ttl_s=60)
        both = await asked.snapshot(PROJECT)
        await asyncio.sleep(1.1)
        one = await asked.snapshot(PROJECT)
        assert (both.keys, one.keys) == (2, 1)
        await asked.delete(PROJECT, "long")
        done = await asked.restore(PROJECT, both.snapshot)
        assert (done.set, done.unchanged) == (1, 0)
        assert (await asked.get(PROJECT, "long")).expires_at == long.expires_at
        assert [entry.key for entry in await asked.list(PROJECT)] == ["long"]


async def test_at_the_same_time_every_snapshot_is_taken(nats: NatsSettings) -> None:
    async with serving(nats), serving(nats), asking(nats) as (asked, _):
        await put(asked)
        taken = await asyncio.gather(*(asked.snapshot(PROJECT) for _ in range(10)))
        assert {one.snapshot for one in await asked.snapshots(PROJECT)} == {one.snapshot for one in taken}


async def test_two_who_restore_at_the_same_time_come_to_the_same(nats: NatsSettings) -> None:
    async with serving(nats), serving(nats), asking(nats) as (asked, bus):
        await asyncio.gather(*(asked.set(PROJECT, f"k{number}", number) for number in range(100)))
        await asked.snapshot(PROJECT)
        await asyncio.gather(*(asked.set(PROJECT, f"k{number}", "x", ttl_s=60) for number in range(100)))
        done = await asyncio.gather(asked.restore(PROJECT), asked.restore(PROJECT))
        assert await everything(asked) == {f"k{number}": number for number in range(100)}
        assert sum(one.set for one in done) >= 100
        assert len([event for event in await events(bus) if isinstance(event, ContextSet)]) == 300


@pytest.mark.parametrize("size", [20, 4_000])
async def test_a_thousand_keys_are_put_back_after_a_crash(nats: NatsSettings, size: int) -> None:
    async with serving(nats), asking(nats) as (asked, _):
        for start in range(0, 1_000, 200):
            await asyncio.gather(
                *(asked.set(PROJECT, f"k{number}", f"{number}" * (size // 4)) for number in range(start, start + 200))
            )
        taken = await asked.snapshot(PROJECT)
        assert taken.keys == 1_000
        for start in range(0, 1_000, 200):
            await asyncio.gather(*(asked.delete(PROJECT, f"k{number}") for number in range(start, start + 200)))
    async with serving(nats), asking(nats) as (asked, bus):
        done = await asked.restore(PROJECT)
        print(f"restored {done.set} keys of {taken.size / 1000:.0f} bytes in {done.duration_s} s")
        assert (done.set, done.unchanged) == (1_000, 0)
        assert len(await asked.list(PROJECT)) == 1_000
        assert (await asked.get(PROJECT, "k999")).value == "999" * (size // 4)
        assert (await asked.restore(PROJECT)).unchanged == 1_000
        raw = await stored.last(bus, names.EVENTS, subjects.events("snapshot", "project.shop"))
        assert raw is not None and raw.headers["ce-type"] == "cca.context.snapshot-restored.v1"


KILLED = """
import asyncio, os, signal, sys
from cca.config import NatsSettings
from cca.contracts.context import RestoreSnapshot
from cca.ids import uuid7
from cca.message import Meta
from cca.nats.bus import connect
from cca.nats.log import JetStreamLog
from cca_context.contexts import Contexts
from cca_context.kv import Keys
from datetime import UTC, datetime

kept, count = Keys.keep, 0

async def keep(*arguments):
    global count
    count += 1
    if count > 30:
        os.kill(os.getpid(), signal.SIGKILL)
    return await kept(*arguments)

Keys.keep = keep

async def main():
    async with connect(NatsSettings(url=sys.argv[1], user=sys.argv[2], password=sys.argv[3]), "cca_context") as bus:
        contexts = Contexts(bus, JetStreamLog(bus))
        meta = Meta(id=uuid7(), source="test", time=datetime.now(UTC))
        await contexts.restore(RestoreSnapshot("project:shop", exact=True), meta)

asyncio.run(main())
"""


async def test_killed_in_the_middle_of_a_restore_the_next_one_finishes_it(nats: NatsSettings) -> None:
    async with serving(nats), asking(nats) as (asked, _):
        await asyncio.gather(*(asked.set(PROJECT, f"k{number}", number) for number in range(100)))
        await asked.snapshot(PROJECT)
        await asyncio.gather(*(asked.delete(PROJECT, f"k{number}") for number in range(100)))
        await asked.set(PROJECT, "new", 1)
    ended = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-c", KILLED, nats.url, nats.user or "", nats.password or ""],
        check=False,
        timeout=60,
    )
    assert ended.returncode == -signal.SIGKILL
    async with serving(nats), asking(nats) as (asked, _):
        done = await asked.restore(PROJECT, exact=True)
        assert done.set + done.unchanged == 100 and done.deleted <= 1
        assert await everything(asked) == {f"k{number}": number for number in range(100)}
