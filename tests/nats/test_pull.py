"""The pull loop: leases, redelivery, a restarted server, a deleted consumer."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from nats.js.api import AckPolicy, ConsumerConfig, StreamConfig

from cca.config import NatsSettings
from cca.nats.bus import Bus, connect
from cca.nats.pull import Delivery, Pull
from cca.testing.servers import NatsServer


@pytest.fixture
async def bus(nats: NatsSettings) -> AsyncIterator[Bus]:
    async with connect(nats, "test") as bus:
        yield bus


async def work_queue(bus: Bus, ack_wait: float = 30.0) -> None:
    js = bus.nc.jetstream()
    await js.add_stream(StreamConfig(name="T", subjects=["t.>"]))
    config = ConsumerConfig(durable_name="w", ack_policy=AckPolicy.EXPLICIT, ack_wait=ack_wait, max_ack_pending=10_000)
    await js.add_consumer("T", config)


async def fill(bus: Bus, count: int) -> None:
    await asyncio.gather(*(bus.request(f"t.{n}", str(n).encode(), timeout=20) for n in range(count)))


async def test_everything_is_delivered_once_and_acknowledged(bus: Bus) -> None:
    await work_queue(bus)
    await fill(bus, 500)
    got: list[int] = []
    done = asyncio.Event()

    def on_message(delivery: Delivery) -> None:
        got.append(int(delivery.body))
        delivery.ack()
        if len(got) == 500:
            done.set()

    pull = await Pull.start(bus, "T", "w", on_message, batch=32)
    await asyncio.wait_for(done.wait(), 20)
    await pull.stop()
    await bus.flush()
    assert sorted(got) == list(range(500))
    info = await bus.nc.jetstream().consumer_info("T", "w")
    assert (info.num_pending, info.num_ack_pending) == (0, 0)


async def test_what_is_not_acknowledged_comes_again_and_says_so(bus: Bus) -> None:
    await work_queue(bus, ack_wait=0.2)
    await fill(bus, 1)
    seen: asyncio.Queue[Delivery] = asyncio.Queue()
    pull = await Pull.start(bus, "T", "w", seen.put_nowait)
    first = await asyncio.wait_for(seen.get(), 10)
    again = await asyncio.wait_for(seen.get(), 10)
    assert (first.seq, first.delivery) == (again.seq, 1)
    assert again.delivery == 2
    again.ack()
    await pull.stop()


async def test_in_progress_keeps_the_lease(bus: Bus) -> None:
    await work_queue(bus, ack_wait=0.4)
    await fill(bus, 1)
    seen: asyncio.Queue[Delivery] = asyncio.Queue()
    pull = await Pull.start(bus, "T", "w", seen.put_nowait)
    delivery = await asyncio.wait_for(seen.get(), 10)
    for _ in range(12):
        delivery.in_progress()
        await asyncio.sleep(0.1)
    assert seen.empty()
    delivery.ack()
    await pull.stop()


async def test_a_nak_brings_it_back_after_its_delay(bus: Bus) -> None:
    await work_queue(bus)
    await fill(bus, 1)
    seen: asyncio.Queue[Delivery] = asyncio.Queue()
    pull = await Pull.start(bus, "T", "w", seen.put_nowait)
    (await asyncio.wait_for(seen.get(), 10)).nak(0.1)
    again = await asyncio.wait_for(seen.get(), 10)
    assert again.delivery == 2
    again.term("enough")
    await pull.stop()


async def test_it_goes_on_after_the_server_was_killed(nats_server: NatsServer) -> None:
    async with connect(nats_server.settings, "test") as bus:
        await work_queue(bus)
        got: set[int] = set()

        def on_message(delivery: Delivery) -> None:
            got.add(int(delivery.body))
            delivery.ack()

        pull = await Pull.start(bus, "T", "w", on_message)
        await fill(bus, 50)
        back = asyncio.Event()
        bus.reconnected.append(back.set)
        nats_server.kill()
        nats_server.start()
        await asyncio.wait_for(back.wait(), 20)
        while True:
            try:
                await asyncio.gather(*(bus.request(f"t.{n}", str(n).encode(), timeout=5) for n in range(50, 100)))
                break
            except Exception:
                await asyncio.sleep(0.1)  # JetStream is still recovering its store
        while len(got) < 100:
            await asyncio.sleep(0.01)
        await pull.stop()


async def test_a_deleted_consumer_is_noticed(bus: Bus) -> None:
    await work_queue(bus)
    pull = await Pull.start(bus, "T", "w", lambda delivery: None)
    await bus.flush()
    await bus.nc.jetstream().delete_consumer("T", "w")
    await asyncio.wait_for(pull.ended.wait(), 20)
    assert pull.error is not None and "consumer deleted" in pull.error
    await pull.stop()


async def test_nothing_is_ordered_while_nothing_is_wanted(bus: Bus) -> None:
    await work_queue(bus)
    seen: asyncio.Queue[Delivery] = asyncio.Queue()
    pull = await Pull.start(bus, "T", "w", seen.put_nowait, batch=0)
    await fill(bus, 3)
    assert seen.empty()
    pull.want(3)
    for _ in range(3):
        (await asyncio.wait_for(seen.get(), 10)).ack()
    await pull.stop()
