"""Crashes between log and bucket: what the log says is in the bucket a moment later, which never goes back."""

import asyncio
import signal
import subprocess
import sys
from datetime import UTC, datetime

import pytest
from tests.service_context.context_serving import PROJECT, asking, events, eventually, serving

from cca.config import NatsSettings
from cca.context import kept as kept_as
from cca.contracts.context import ContextSet
from cca.errors import Busy, Refused
from cca.ids import uuid7
from cca.message import Meta, Seq, Stream
from cca.nats import names, setup, stored, subjects
from cca.nats.bus import Bus, connect
from cca.nats.kv import Bucket, Cell
from cca.nats.log import JetStreamLog
from cca.testing.servers import NatsServer
from cca_context import repair
from cca_context.kv import Keys
from cca_context.repair import Repair

NAME = "project.shop.plan"
SUBJECT = subjects.context(NAME)

KILLED = """
import asyncio, os, signal, sys
from cca.config import NatsSettings
from cca.contracts.context import SetContext
from cca.ids import uuid7
from cca.message import Meta
from cca.nats.bus import connect
from cca.nats.log import JetStreamLog
from cca_context.contexts import Contexts
from cca_context.kv import Keys
from datetime import UTC, datetime

async def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)

async def main():
    async with connect(NatsSettings(url=sys.argv[1], user=sys.argv[2], password=sys.argv[3]), "cca_context") as bus:
        contexts = Contexts(bus, JetStreamLog(bus))
        async def set_value(value):
            meta = Meta(id=uuid7(), source="test", time=datetime.now(UTC))
            await contexts.set_value(SetContext("project:shop", "plan", value), meta)
        await set_value("first")
        Keys.keep = die
        await set_value("second")

asyncio.run(main())
"""


def meta() -> Meta:
    return Meta(id=uuid7(), source="test", time=datetime.now(UTC))


async def append(bus: Bus, key: str, value: object, after: int = 0) -> int:
    """An event alone, as an instance leaves it that ends right after."""
    event = ContextSet(PROJECT, key, value, size=1)
    stream = Stream("context", f"project.shop.{key}")
    return await JetStreamLog(bus).append(stream, (event,), after=Seq(after), cause=meta())


def kill_between(nats: NatsSettings) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", KILLED, nats.url, nats.user or "", nats.password or ""], check=False, timeout=60
    )
    assert ended.returncode == -signal.SIGKILL


async def test_killed_between_log_and_bucket_the_next_start_puts_it_right(nats: NatsSettings) -> None:
    async with connect(nats, "test") as bus:
        await setup.ensure(bus)
        await asyncio.to_thread(kill_between, nats)
        assert len(await events(bus)) == 2
        assert b"first" in ((await Bucket(bus, names.CONTEXT).last(SUBJECT)).body or b"")
    async with serving(nats), asking(nats) as (asked, _):
        await eventually(lambda: _is(asked.value(PROJECT, "plan"), "second"))


async def test_killed_between_log_and_bucket_another_instance_puts_it_right(nats: NatsSettings) -> None:
    async with serving(nats), asking(nats) as (asked, _):
        await asyncio.to_thread(kill_between, nats)
        await eventually(lambda: _is(asked.value(PROJECT, "plan"), "second"))


async def test_before_it_is_put_right_nobody_changes_what_they_have_not_seen(nats: NatsSettings) -> None:
    async with serving(nats, start=False), asking(nats) as (asked, bus):
        first = await asked.set(PROJECT, "plan", 1)
        second = await append(bus, "plan", 2, first.revision)
        with pytest.raises(Refused, match=f"it is at revision {second}"):
            await asked.set(PROJECT, "plan", 3, expect=first.revision)
        assert await asked.value(PROJECT, "plan") == 1
        assert (await asked.set(PROJECT, "plan", 2)).revision == second  # it is so already, and can be read now
        assert await asked.value(PROJECT, "plan") == 2
        third = await asked.set(PROJECT, "plan", 3, expect=second)
        assert (await asked.get(PROJECT, "plan")) == third


async def test_who_is_slow_does_not_bring_an_older_value_back(nats: NatsSettings) -> None:
    async with serving(nats, start=False) as service, asking(nats) as (asked, bus):
        first = await asked.set(PROJECT, "plan", 1)
        keys, bucket = service.keys, Bucket(bus, names.CONTEXT)
        seen = await keys.look(PROJECT, "plan")
        old = seen.kept
        for change in (asked.set(PROJECT, "plan", 2), asked.delete(PROJECT, "plan"), asked.set(PROJECT, "plan", 3)):
            changed = await change
            before = await bucket.last(SUBJECT)
            assert not await keys.keep(NAME, old, await bucket.last("$KV.CCA_CONTEXT.nobody.x.y"))
            assert await bucket.last(SUBJECT) == before and before.revision == changed.revision > first.revision


async def test_who_is_slow_does_not_bring_back_what_was_replaced_by_what_has_expired(nats: NatsSettings) -> None:
    """The server's mark of what has expired says nothing of the log: that is asked."""
    async with serving(nats, start=False) as service, asking(nats) as (asked, bus):
        await asked.set(PROJECT, "plan", 1)
        old = await service.keys.look(PROJECT, "plan")
        await asked.set(PROJECT, "plan", 2, ttl_s=1)
        bucket = Bucket(bus, names.CONTEXT)
        await eventually(lambda: _ended(bucket))
        await service.keys.keep(NAME, old.kept, Cell(old.cell))
        assert await asked.value(PROJECT, "plan", "nothing") == "nothing"


async def test_several_who_repair_do_no_harm_and_a_healthy_bucket_is_left_alone(nats: NatsSettings) -> None:
    async with serving(nats), serving(nats), asking(nats) as (asked, bus):
        await asyncio.gather(*(asked.set(PROJECT, f"k{number % 20}", number) for number in range(100)))
        before = await Bucket(bus, names.CONTEXT).all(subjects.context(">"), lambda cell: cell)
        async with connect(nats, "cca_context") as own:
            follows = Repair(own, Keys(own, JetStreamLog(own)))
            await follows.start()
            last = max(cell.revision for cell in before.values())
            await eventually(lambda: _holds(follows.seq >= last))
            await follows.stop()
            assert follows.repaired == 0
        assert await Bucket(bus, names.CONTEXT).all(subjects.context(">"), lambda cell: cell) == before


async def test_it_goes_on_where_it_was(nats: NatsSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(repair, "NOTE_S", 0.1)
    monkeypatch.setattr(repair, "GRACE_S", 0.0)
    async with connect(nats, "cca_context") as bus:
        await setup.ensure(bus)
        for number in range(5):
            await append(bus, f"k{number}", number)
        first = Repair(bus, Keys(bus, JetStreamLog(bus)))
        await first.start()

        async def noted() -> bool:
            raw = await stored.last(bus, f"KV_{names.STATE}", repair.NOTE)
            return raw is not None and b'"seq":5' in raw.body

        await eventually(noted)
        await first.stop()
        assert first.repaired == 5
        second = Repair(bus, Keys(bus, JetStreamLog(bus)))
        assert await second._begin((await Bucket(bus, names.CONTEXT).figures()).created) == 5
        await bus.request(repair.NOTE, b"{")
        assert await second._begin("x") == 0


async def test_a_bucket_that_was_lost_is_filled_from_the_log(
    nats: NatsSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(repair, "NOTE_S", 0.05)
    async with serving(nats), asking(nats) as (asked, bus):
        for number in range(30):
            await asked.set(PROJECT, f"k{number}", number)
        await asked.delete(PROJECT, "k0")

        async def noted() -> bool:
            raw = await stored.last(bus, f"KV_{names.STATE}", repair.NOTE)
            return raw is not None and b'"seq":31' in raw.body

        await eventually(noted)
    async with connect(nats, "test") as bus:
        await bus.request(f"$JS.API.STREAM.DELETE.KV_{names.CONTEXT}", b"")
    async with serving(nats), asking(nats) as (asked, _):

        async def filled() -> bool:
            return len(await asked.list(PROJECT)) == 29

        await eventually(filled)
        assert {entry.key: entry.value for entry in await asked.list(PROJECT, values=True)} == {
            f"k{number}": number for number in range(1, 30)
        }


async def test_a_log_that_is_an_older_copy_of_itself_is_believed(
    nats: NatsSettings, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(nats, start=False), asking(nats) as (asked, bus):
        for number in range(9):
            await asked.set(PROJECT, "plan", number)
        created = (await Bucket(bus, names.CONTEXT).figures()).created
        await bus.request(repair.NOTE, b'{"seq":9,"bucket":"%s"}' % created.encode())
        await bus.request(f"$JS.API.STREAM.DELETE.{names.EVENTS}", b"")
        await setup.ensure(bus)
        assert await append(bus, "other", "restored") == 1
    async with serving(nats), asking(nats) as (asked, _):
        await eventually(lambda: _is(asked.value(PROJECT, "other"), "restored"))
        assert "older copy" in caplog.text and await asked.value(PROJECT, "plan") is None
        await asked.set(PROJECT, "plan", "new")
        assert await asked.value(PROJECT, "plan") == "new"


async def test_what_a_newer_version_said_is_left_alone(nats: NatsSettings, caplog: pytest.LogCaptureFixture) -> None:
    async with serving(nats, start=False), asking(nats) as (asked, bus):
        first = await asked.set(PROJECT, "plan", 1)
        await bus.request(subjects.events("context", NAME), b"{}", {"ce-type": "cca.context.renamed.v9"})
        await append(bus, "after", 2)
    async with serving(nats), asking(nats) as (asked, _):
        await eventually(lambda: _is(asked.value(PROJECT, "after"), 2))
        assert (await asked.get(PROJECT, "plan")) == first and "cca.context.renamed.v9" in caplog.text
        assert [change.what for change in (await asked.history(PROJECT, "plan")).items] == ["set"]


async def test_while_the_server_restarts_nothing_that_was_answered_is_lost(nats_server: NatsServer) -> None:
    settings = nats_server.settings
    async with serving(settings), asking(settings) as (asked, bus):
        done: dict[str, int] = {}
        killed = asyncio.Event()

        async def write(key: str) -> None:
            number = 0
            while not killed.is_set() or number < 10:
                number += 1
                try:
                    await asked.set(PROJECT, key, number)
                    done[key] = number
                except Busy:
                    await asyncio.sleep(0.05)

        writing = [asyncio.create_task(write(f"k{number}")) for number in range(4)]
        await asyncio.sleep(0.5)
        nats_server.kill()
        await asyncio.sleep(0.2)
        nats_server.start()
        killed.set()
        async with asyncio.timeout(60):
            await asyncio.gather(*writing)
        await asyncio.sleep(1.5)  # what was cut short is put right
        for key, number in done.items():
            there = await asked.get(PROJECT, key)
            assert there.value >= number
            raw = await stored.last(bus, names.EVENTS, subjects.events("context", f"project.shop.{key}"))
            assert raw is not None and raw.seq == there.revision
            cell = await Bucket(bus, names.CONTEXT).last(subjects.context(f"project.shop.{key}"))
            assert kept_as.read(cell).revision == raw.seq


async def _is(value: object, wanted: object) -> bool:
    return await value == wanted  # type: ignore[misc,no-any-return]  # a coroutine of any kind


async def _holds(it: bool) -> bool:
    return it


async def _ended(bucket: Bucket) -> bool:
    return (await bucket.last(SUBJECT)).body is None
