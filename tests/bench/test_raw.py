"""The raw loop that everything is compared with works."""

from nats.aio.client import Client

from cca.bench import raw
from cca.config import NatsSettings


async def test_every_task_of_the_raw_loop_is_answered(nats: NatsSettings) -> None:
    async with raw.RawLoop.open(nats, 16, {}) as loop:
        done = await loop.run(100, 32)
        assert done.per_s > 0
        assert done.cpu_s.keys() == {"worker", "submitter", "wall"}
        acknowledged, replied = await loop.trips(5)
    assert len(acknowledged) == len(replied) == 5
    assert all(first <= last for first, last in zip(acknowledged, replied, strict=True))


async def test_publishing_and_reading_are_measured_and_leave_nothing_behind(nats: NatsSettings) -> None:
    assert await raw.publish_rate(nats, 100, 16) > 0
    connection: Client = await raw.connect(nats)
    try:
        js = connection.jetstream()
        assert await js.streams_info() == []
        await js.add_stream(name="READ", subjects=["read.me"])
        for number in range(50):
            await js.publish("read.me", str(number).encode())
        assert await raw.read_rate(nats, "READ", 0, 50) > 0
        assert await js.consumers_info("READ") == []
    finally:
        await connection.close()
