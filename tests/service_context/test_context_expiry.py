"""Time to live on a real server: exact on every read, told to the log, and gone from the bucket, whoever is away."""

import asyncio
from datetime import UTC, datetime, timedelta

import nats as nats_py
import pytest
from msgspec import structs
from nats.js.errors import KeyNotFoundError
from tests.service_context.context_serving import PROJECT, asking, events, eventually, serving

from cca import codec
from cca.config import NatsSettings
from cca.context.remote import Contexts
from cca.contracts.context import ContextDeleted, ContextDue, ContextExpired, ContextSet
from cca.errors import Busy, Refused
from cca.nats import names, stored, subjects
from cca.nats.frames import rfc3339
from cca.testing.servers import NatsServer

SUBJECT = subjects.context("project.shop.plan")


@pytest.mark.covers("STAB-009")
async def test_a_value_of_two_seconds_is_gone_after_three(nats: NatsSettings) -> None:
    async with serving(nats), asking(nats) as (asked, bus):
        entry = await asked.set(PROJECT, "plan", "x", ttl_s=2)
        assert entry.expires_at is not None and entry.set_at is not None
        assert entry.expires_at - entry.set_at <= timedelta(seconds=2.1)
        assert (await asked.get(PROJECT, "plan")).value == "x" and len(await asked.list(PROJECT)) == 1
        await asyncio.sleep((entry.expires_at - datetime.now(UTC)).total_seconds())
        with pytest.raises(Refused, match="there is no plan"):
            await asked.get(PROJECT, "plan")
        assert await asked.list(PROJECT) == ()
        await asyncio.sleep(1)
        connection = await nats_py.connect(nats.url, user=nats.user, password=nats.password)
        try:
            bucket = await connection.jetstream().key_value(names.CONTEXT)
            with pytest.raises(KeyNotFoundError):
                await bucket.get("project.shop.plan")
        finally:
            await connection.close()
        assert (await events(bus))[1:] == [ContextExpired(PROJECT, "plan", entry.expires_at)]
        again = await asked.set(PROJECT, "plan", "y", expect=0)
        assert (await asked.get(PROJECT, "plan")).revision == again.revision


async def test_it_is_gone_in_time_while_no_service_looks_after_it(nats: NatsSettings) -> None:
    async with serving(nats, start=False), asking(nats) as (asked, bus):
        entry = await asked.set(PROJECT, "plan", "x", ttl_s=1)
        assert entry.expires_at is not None
        await asyncio.sleep((entry.expires_at - datetime.now(UTC)).total_seconds())
        with pytest.raises(Refused):
            await asked.get(PROJECT, "plan")

        async def removed() -> bool:
            raw = await stored.last(bus, f"KV_{names.CONTEXT}", SUBJECT)
            return raw is not None and raw.headers.get("Nats-Marker-Reason") == "MaxAge"

        await eventually(removed)
        assert len(await events(bus)) == 1
        history = await asked.history(PROJECT, "plan")
        assert [change.what for change in history.items] == ["set"]
        async with serving(nats):  # what is due is told as soon as somebody is there

            async def told() -> bool:
                return len(await events(bus)) == 2

            await eventually(told)
            assert (await events(bus))[1] == ContextExpired(PROJECT, "plan", entry.expires_at)


async def test_a_longer_or_another_value_outlives_the_timer_of_the_first(nats: NatsSettings) -> None:
    async with serving(nats), asking(nats) as (asked, bus):
        for key, ttl_s in (("longer", 60.0), ("forever", None)):
            await asked.set(PROJECT, key, 1, ttl_s=1)
            await asked.set(PROJECT, key, 1, ttl_s=ttl_s)
        await asked.set(PROJECT, "gone", 1, ttl_s=1)
        await asked.delete(PROJECT, "gone")
        await asyncio.sleep(1.6)
        assert [entry.key for entry in await asked.list(PROJECT)] == ["forever", "longer"]
        kinds = [type(event) for event in await events(bus)]
        assert kinds.count(ContextSet) == 5 and kinds.count(ContextDeleted) == 1 and ContextExpired not in kinds


async def test_a_timer_that_fires_in_place_of_another_is_followed_by_that_one(nats: NatsSettings) -> None:
    """A decision that was overtaken has left its timer: the key has one, so the other's is gone."""
    async with serving(nats), asking(nats) as (asked, bus):
        entry = await asked.set(PROJECT, "plan", "x", ttl_s=1.5)
        assert entry.expires_at is not None
        early = datetime.now(UTC) + timedelta(seconds=0.3)
        headers = {
            "Nats-Schedule": f"@at {rfc3339(early)}",
            "Nats-Schedule-Target": subjects.context_due("project.shop.plan"),
        }
        body = codec.encode(ContextDue(PROJECT, "plan", early))
        await bus.request(subjects.context_timer("project.shop.plan"), body, headers)

        async def told() -> bool:
            return len(await events(bus)) == 2

        await eventually(told)
        assert (await events(bus))[1] == ContextExpired(PROJECT, "plan", entry.expires_at)


async def test_a_refused_change_leaves_the_timer_of_the_one_that_was_faster(nats: NatsSettings) -> None:
    async with serving(nats) as service, asking(nats) as (asked, bus):
        first = await asked.set(PROJECT, "plan", 1)
        cell = await service.keys.bucket.last(SUBJECT)
        second = await asked.set(PROJECT, "plan", 2, ttl_s=1)
        # The bucket as it was before: a change is decided on that, and its timer is set before the log refuses it.
        assert cell.body is not None
        there = await service.keys.bucket.last(SUBJECT)
        assert await service.keys.bucket.put(SUBJECT, cell.revision, cell.body, there.seq)
        with pytest.raises(Refused, match=f"it is at revision {second.revision}"):
            await asked.set(PROJECT, "plan", 3, ttl_s=3_600, expect=first.revision)

        async def told() -> bool:
            return len(await events(bus)) == 3

        await eventually(told)
        assert second.expires_at is not None
        assert (await events(bus))[2] == ContextExpired(PROJECT, "plan", second.expires_at)


async def test_a_timer_that_is_set_too_late_fires_at_once(nats: NatsSettings) -> None:
    async with serving(nats, start=False) as service, asking(nats) as (asked, bus):
        entry = await asked.set(PROJECT, "plan", 1, ttl_s=1)
        assert entry.expires_at is not None
        kept = structs.replace((await service.keys.newest("project.shop.plan")), expires_at=datetime.now(UTC))
        await service.keys.arm(PROJECT, "plan", kept)

        async def fired() -> bool:
            subject = subjects.context_due("project.shop.plan")
            return await stored.last(bus, names.EVENTS, subject) is not None

        async with asyncio.timeout(0.9):
            await eventually(fired)


async def test_what_is_no_timer_is_a_dead_letter(nats: NatsSettings) -> None:
    async with serving(nats), asking(nats) as (_, bus):
        await bus.request(subjects.context_due("project.shop.plan"), b"{")
        body = codec.encode(ContextDue(PROJECT, "other", datetime.now(UTC)))
        await bus.request(subjects.context_due("project.shop.plan"), body)

        async def noted() -> bool:
            return len([raw async for raw in stored.scan(bus, names.DEAD, subjects.dead("context"))]) == 2

        await eventually(noted)


async def test_many_expire_at_once_each_once_with_several_instances(nats: NatsSettings) -> None:
    async with serving(nats), serving(nats), asking(nats) as (asked, bus):
        await asyncio.gather(*(asked.set(PROJECT, f"k{number}", number, ttl_s=1) for number in range(150)))

        async def told() -> bool:
            return len(await events(bus)) >= 300

        await eventually(told)
        await asyncio.sleep(0.3)
        ended = [event for event in await events(bus) if isinstance(event, ContextExpired)]
        assert len(ended) == 150 == len({event.key for event in ended})


async def test_a_timer_survives_a_crash_of_the_server(nats_server: NatsServer) -> None:
    settings = nats_server.settings
    async with serving(settings), asking(settings) as (asked, bus):
        await asked.set(PROJECT, "plan", "x", ttl_s=1.5)
        nats_server.kill()
        await asyncio.sleep(0.3)
        nats_server.start()

        async def told() -> bool:
            try:
                return len(await events(bus)) == 2
            except Busy:
                return False

        await eventually(told)
        await eventually(lambda: _gone(asked))


async def _gone(asked: Contexts) -> bool:
    try:
        return bool(await asked.value(PROJECT, "plan", "nothing") == "nothing")
    except Busy:
        return False
