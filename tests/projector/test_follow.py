"""Following the log: everything, in order, and an honest doubt when that is not certain."""

from collections.abc import Awaitable, Callable

import pytest

from cca.message import Event
from cca.nats import follow, names
from cca.nats.bus import Bus
from cca.nats.follow import Doubt, Follower, behind, entry
from cca.nats.pull import Delivery

Life = Callable[..., list[Event]]
Tell = Callable[..., Awaitable[int]]


async def taken(follower: Follower, count: int) -> list[int]:
    found: list[int] = []
    while len(found) < count:
        found += [one.seq for one in await follower.take(count - len(found), wait_s=20)]
    return found


async def test_everything_after_a_position_comes_in_order(bus: Bus, tell: Tell, life: Life) -> None:
    last = await tell(*life("t1"), *life("t2"))
    await bus.nc.jetstream().publish("cca.work.docs.a.normal", b"no event")
    later = await tell(*life("t3"))

    follower = await Follower.start(bus, "test", 2)
    assert follower.pending == 10
    assert await taken(follower, 10) == [3, 4, 5, 6, 7, last, 10, 11, 12, later]
    assert follower.pending == 0
    assert await follower.take(10, wait_s=0.01) == ()
    await follower.stop()
    assert await behind(bus, 2) == 10


async def test_a_missing_message_raises_doubt(
    bus: Bus, tell: Tell, life: Life, monkeypatch: pytest.MonkeyPatch
) -> None:
    take_in = Follower._on_delivery

    def lossy(self: Follower, delivery: Delivery) -> None:
        if delivery.consumer_seq != 3:
            take_in(self, delivery)

    monkeypatch.setattr(Follower, "_on_delivery", lossy)
    follower = await Follower.start(bus, "test", 0)
    await tell(*life("t1"))
    with pytest.raises(Doubt, match="message 3"):
        await taken(follower, 4)
    await follower.stop()


async def test_a_last_message_that_is_missing_raises_doubt(
    bus: Bus, tell: Tell, life: Life, monkeypatch: pytest.MonkeyPatch
) -> None:
    take_in = Follower._on_delivery

    def lossy(self: Follower, delivery: Delivery) -> None:
        if delivery.consumer_seq != 4:
            take_in(self, delivery)

    monkeypatch.setattr(Follower, "_on_delivery", lossy)
    monkeypatch.setattr(follow, "IDLE", 0.05)
    follower = await Follower.start(bus, "test", 0)
    await tell(*life("t1"))
    assert await taken(follower, 3) == [1, 2, 3]
    with pytest.raises(Doubt, match="did not arrive"):
        await taken(follower, 1)
    await follower.stop()


async def test_a_consumer_that_is_gone_raises_doubt(bus: Bus, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(follow, "IDLE", 0.05)
    follower = await Follower.start(bus, "test", 0)
    js = bus.nc.jetstream()
    for info in await js.consumers_info(names.EVENTS):
        if info.name.startswith("test_"):
            await js.delete_consumer(names.EVENTS, info.name)
    with pytest.raises(Doubt, match="forgotten"):
        await taken(follower, 1)
    await follower.stop()


async def test_more_than_may_wait_is_not_ordered_and_still_comes(bus: Bus, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(follow, "HIGH_WATER", 10_000)
    monkeypatch.setattr(follow, "ORDER", 4)
    for number in range(40):
        bus.publish(f"cca.events.task.t{number}", bytes(2_000))
    await bus.flush()
    follower = await Follower.start(bus, "test", 0)
    assert await taken(follower, 40) == list(range(1, 41))
    await follower.stop()


@pytest.mark.parametrize(
    ("headers", "id", "kind", "time"),
    [
        (b"ce-id: a b\r\nce-type:t\r\nce-time: 2026-01-01T00:00:01Z", "a b", "t", "2026-01-01T00:00:01+00:00"),
        (b"ce-time: 2026-01-01T02:00:00+02:00", None, None, "2026-01-01T00:00:00+00:00"),
        (b"ce-time: 2026-01-01T00:00:00", None, None, "2026-01-01T00:00:00+00:00"),
        (b"ce-time: yesterday\r\nce-id: \x00\xff", "\ufffd\ufffd", None, "1970-01-01T00:00:02+00:00"),
        (b"ce-time: 0001-01-01T00:00:00+23:00", None, None, "1970-01-01T00:00:02+00:00"),
        (b"x-ce-id: no", None, None, "1970-01-01T00:00:02+00:00"),
    ],
)
def test_headers_of_any_writer_are_understood_or_left(
    headers: bytes, id: str | None, kind: str | None, time: str
) -> None:
    found = entry(1, "s", b"NATS/1.0\r\n" + headers + b"\r\n\r\n", b"", 2_000_000_000)
    assert (found.id, found.type, found.time.isoformat()) == (id, kind, time)
    assert entry(1, "s", b"", b"", 2_000_000_000).id is None
