"""A bucket on a real server: compared and set, listed as of one moment, with marks of what was removed."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from cca.config import NatsSettings
from cca.errors import Busy
from cca.nats import names, setup, subjects
from cca.nats.bus import Bus, connect
from cca.nats.kv import Bucket, Cell

ALL = subjects.context(">")


@pytest.fixture
async def bus(nats: NatsSettings) -> AsyncIterator[Bus]:
    async with connect(nats, "test") as bus:
        await setup.ensure(bus)
        yield bus


@pytest.fixture
def bucket(bus: Bus) -> Bucket:
    return Bucket(bus, names.CONTEXT)


async def test_what_is_put_is_there_until_it_is_removed(bucket: Bucket) -> None:
    subject = subjects.context("project.x.plan")
    assert await bucket.last(subject) == Cell()
    assert await bucket.put(subject, 7, b"one", 0)
    assert await bucket.last(subject) == Cell(1, 7, b"one")
    assert await bucket.put(subject, 8, b"", 1)
    assert await bucket.last(subject) == Cell(2, 8, b"")
    assert await bucket.put(subject, 9, None, 2)
    assert await bucket.last(subject) == Cell(3, 9, None)


async def test_only_what_was_seen_is_replaced(bucket: Bucket) -> None:
    subject = subjects.context("project.x.plan")
    assert await bucket.put(subject, 7, b"one", 0)
    assert not await bucket.put(subject, 8, b"two", 0)
    assert not await bucket.put(subject, 8, b"two", 9)
    assert (await bucket.last(subject)).body == b"one"


async def test_the_server_removes_what_has_lived_long_enough(bucket: Bucket) -> None:
    subject = subjects.context("project.x.plan")
    assert await bucket.put(subject, 7, b"one", 0, ttl_s=1)
    async with asyncio.timeout(10):
        while (cell := await bucket.last(subject)).body is not None:
            await asyncio.sleep(0.05)
    assert cell.revision == 0 and cell.seq > 1
    assert await bucket.put(subject, 8, b"two", cell.seq)


async def test_all_that_match_are_listed_with_marks(bucket: Bucket) -> None:
    for number in range(600):
        assert await bucket.put(subjects.context(f"project.x.k{number}"), number + 1, b"x", 0)
    assert await bucket.put(subjects.context("project.y.k"), 999, b"x", 0)
    assert await bucket.put(subjects.context("project.x.k0"), 1000, None, 1)
    found = await bucket.all(subjects.context("project.x.>"), lambda cell: cell)
    assert len(found) == 600 and found[subjects.context("project.x.k0")].body is None
    assert sum(cell.body == b"x" for cell in found.values()) == 599
    assert await bucket.count(subjects.context("project.x.>")) == 600 and await bucket.count(ALL) == 601
    assert await bucket.count(subjects.context("project.z.>")) == 0


async def test_a_key_that_moves_while_it_is_read_is_never_missed(nats: NatsSettings, bucket: Bucket) -> None:
    for number in range(1_000):
        await bucket.put(subjects.context(f"project.x.k{number}"), 1, b"0", 0)

    async def move() -> None:
        async with connect(nats, "mover") as other:
            while True:
                for number in range(0, 1_000, 7):
                    await other.request(subjects.context(f"project.x.k{number}"), b"1")

    moving = asyncio.create_task(move())
    for _ in range(10):
        assert len(await bucket.all(ALL, lambda cell: cell.seq)) == 1_000
    moving.cancel()
    await asyncio.gather(moving, return_exceptions=True)


async def test_a_bucket_says_how_it_is_and_can_be_emptied(bucket: Bucket) -> None:
    empty = await bucket.figures()
    await bucket.put(subjects.context("project.x.plan"), 7, b"one", 0)
    full = await bucket.figures()
    assert (empty.subjects, full.subjects) == (0, 1) and full.bytes > empty.bytes and full.created == empty.created
    await bucket.clear()
    assert (await bucket.figures()).subjects == 0 and await bucket.last(subjects.context("project.x.plan")) == Cell()


async def test_what_others_wrote_has_no_revision(bus: Bus, bucket: Bucket) -> None:
    for revision in ("", "x", "-1", "1.5", "1" * 30, "²"):
        await bus.request(subjects.context("project.x.plan"), b"{}", {"Cca-Revision": revision})
        assert (await bucket.last(subjects.context("project.x.plan"))).revision == 0


async def test_without_the_stream_everything_is_busy(nats: NatsSettings) -> None:
    async with connect(nats, "test") as bus:
        bucket = Bucket(bus, names.CONTEXT)
        for ask in (
            bucket.last(subjects.context("a.b.c")),
            bucket.all(ALL, lambda cell: cell),
            bucket.count(ALL),
            bucket.figures(),
            bucket.put(subjects.context("a.b.c"), 1, b"", 0),
            bucket.clear(),
        ):
            with pytest.raises(Busy):
                await ask
