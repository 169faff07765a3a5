"""A scope is followed: as it is, then every change in order and once, over restarts."""

import asyncio
from collections.abc import AsyncGenerator

from tests.service_context.context_serving import PROJECT, asking, serving

from cca.config import NatsSettings
from cca.contracts.context import INLINE, ContextEntry, ContextSet
from cca.errors import Busy
from cca.ids import uuid7
from cca.message import Meta, Seq, Stream
from cca.nats.log import JetStreamLog
from cca.testing.servers import NatsServer


async def take(watching: AsyncGenerator[ContextEntry, None], count: int) -> list[ContextEntry]:
    async with asyncio.timeout(30):
        return [await anext(watching) for _ in range(count)]


async def test_what_is_there_comes_first_and_then_each_change(nats: NatsSettings) -> None:
    async with serving(nats), asking(nats) as (asked, _):
        first = await asked.set(PROJECT, "files.a", {"n": 1})
        await asked.set(PROJECT, "plan", "not this")
        await asked.set(PROJECT, "files.gone", 1)
        await asked.delete(PROJECT, "files.gone")
        await asked.set("project:shop2", "files.a", "not this")
        watching = asked.watch(PROJECT, "files.")
        assert await take(watching, 1) == [first]
        second = await asked.set(PROJECT, "files.b", "x" * (INLINE + 1))
        (large,) = await take(watching, 1)
        assert large.ref == second.ref and large.value is None and large.revision == second.revision
        changed = [
            await asked.set(PROJECT, "files.a", 2),
            await asked.delete(PROJECT, "files.a"),
            await asked.set(PROJECT, "files.c", 3, ttl_s=1),
        ]
        assert await take(watching, 3) == changed
        (expired,) = await take(watching, 1)
        assert (expired.key, expired.there) == ("files.c", False)
        await watching.aclose()


async def test_only_what_changes_from_now_on(nats: NatsSettings) -> None:
    async with serving(nats), asking(nats) as (asked, _):
        await asked.set(PROJECT, "a", 1)
        watching = asked.watch(PROJECT, now_too=False)
        coming = asyncio.create_task(take(watching, 1))
        await asyncio.sleep(0.2)
        second = await asked.set(PROJECT, "a", 2)
        assert await coming == [second]
        await watching.aclose()


async def test_what_is_on_its_way_from_log_to_bucket_is_not_missed(nats: NatsSettings) -> None:
    async with serving(nats, start=False), asking(nats) as (asked, bus):
        first = await asked.set(PROJECT, "a", 1)
        event = ContextSet(PROJECT, "a", 2, size=1)
        meta = Meta(id=uuid7(), source="test", time=first.set_at)  # type: ignore[arg-type]  # it has one
        seq = await JetStreamLog(bus).append(
            Stream("context", "project.shop.a"), (event,), after=Seq(first.revision), cause=meta
        )
        watching = asked.watch(PROJECT)
        entries = await take(watching, 2)
        assert [(entry.value, entry.revision) for entry in entries] == [(1, first.revision), (2, seq)]
        await watching.aclose()


async def test_of_many_changes_none_is_missed_and_none_comes_twice_over_a_restart(nats_server: NatsServer) -> None:
    settings = nats_server.settings
    async with serving(settings), asking(settings) as (asked, _), asking(settings) as (writer, _):
        watching = asked.watch(PROJECT)
        seen: list[ContextEntry] = []

        async def follow() -> None:
            async for entry in watching:
                seen.append(entry)
                if entry.key == "end":
                    return

        following = asyncio.create_task(follow())
        done: set[int] = set()
        for number in range(120):
            if number == 60:
                nats_server.kill()
                await asyncio.sleep(0.2)
                nats_server.start()
            while True:
                try:
                    done.add((await writer.set(PROJECT, f"k{number % 7}", number)).revision)
                    break
                except Busy:
                    await asyncio.sleep(0.05)
        while True:
            try:
                await writer.set(PROJECT, "end", True)
                break
            except Busy:
                await asyncio.sleep(0.05)
        async with asyncio.timeout(40):
            await following
        revisions = [entry.revision for entry in seen]
        assert done <= set(revisions) and revisions == sorted(set(revisions))
        await watching.aclose()
