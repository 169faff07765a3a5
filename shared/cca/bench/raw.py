"""The same work on raw nats-py: publish (acknowledged), pull, acknowledge, reply; `python -m cca.bench.raw`.

It is written as one writes it with nats-py alone, and in its favour: as many tasks in flight as ours has, each
awaited until its reply is there; fetches of as many as the worker takes at once; one decoded JSON body per message
and no header to parse; a core reply per task; uvloop in both processes. It keeps no history and recovers nothing.
This is the one place beside `cca.nats` that imports nats-py, because nats-py is what it measures.
"""

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import msgspec
import nats
import uvloop
from msgspec import Struct
from nats.aio.client import Client as NatsClient
from nats.aio.msg import Msg
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy, RetentionPolicy, StreamConfig

from cca.bench.processes import Watch, child
from cca.bench.server import DURABILITIES, environment
from cca.bench.spread import Spread, percentile
from cca.config import NatsSettings, load
from cca.testing.servers import NatsServer

STREAM = "BENCH_RAW"
SUBJECT = "bench.raw.work"
CONSUMER = "worker"
TEXT = "x" * 150


class Work(Struct):
    """One task of the raw loop: what the worker needs to answer it, and as much text as ours carries."""

    task: int
    reply: str
    text: str = TEXT


class Run(Struct, frozen=True):
    """One timed run: tasks per second and CPU seconds per process."""

    per_s: float
    cpu_s: dict[str, float]


async def connect(access: NatsSettings) -> NatsClient:
    """A plain nats-py connection."""
    return await nats.connect(access.url, user=access.user, password=access.password, pending_size=16 * 1024 * 1024)


async def _work(access: NatsSettings, batch: int) -> None:
    """Pull, do nothing, acknowledge, reply; until the process is told to end."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    nc = await connect(access)
    subscription = await nc.jetstream().pull_subscribe_bind(CONSUMER, STREAM)
    decode = msgspec.json.Decoder(Work).decode
    print("ready", flush=True)
    while not stop.is_set():
        try:
            messages = await subscription.fetch(batch, timeout=1)
        except TimeoutError:
            continue
        for message in messages:
            work = decode(message.data)
            await message.ack()
            await nc.publish(work.reply, b'{"state":"completed"}')
    await nc.close()


class RawLoop:
    """The submitter's side of the raw loop, with a worker process that takes `concurrency` tasks at once."""

    def __init__(self, nc: NatsClient, pids: Mapping[str, int]) -> None:
        self._nc = nc
        self._js = nc.jetstream()
        self._watch = Watch(pids)
        self._inbox = nc.new_inbox()
        self._waiting: dict[str, asyncio.Future[None]] = {}

    @classmethod
    @asynccontextmanager
    async def open(cls, access: NatsSettings, concurrency: int, pids: Mapping[str, int]) -> AsyncIterator["RawLoop"]:
        """Create the work queue, start the worker, and remove both at the end. `pids`: servers to watch."""
        nc = await connect(access)
        js = nc.jetstream()
        await js.add_stream(StreamConfig(name=STREAM, subjects=[SUBJECT], retention=RetentionPolicy.WORK_QUEUE))
        await js.add_consumer(
            STREAM,
            ConsumerConfig(durable_name=CONSUMER, ack_policy=AckPolicy.EXPLICIT, max_ack_pending=10_000),
        )
        try:
            arguments = ("worker", str(concurrency))
            async with child("cca.bench.raw", *arguments, env=environment(access)) as worker:
                loop = cls(nc, {**pids, "worker": worker, "submitter": os.getpid()})
                await nc.subscribe(f"{loop._inbox}.*", cb=loop._on_reply)
                yield loop
        finally:
            with contextlib.suppress(asyncio.TimeoutError):
                await js.delete_stream(STREAM)
            await nc.close()

    async def _on_reply(self, message: Msg) -> None:
        waiting = self._waiting.pop(message.subject, None)
        if waiting is not None:
            waiting.set_result(None)

    async def run(self, tasks: int, in_flight: int) -> Run:
        """Publish `tasks` tasks and await their replies, `in_flight` at a time; timed from first to last."""
        numbers = iter(range(tasks))
        encode = msgspec.json.Encoder().encode
        create_future = asyncio.get_running_loop().create_future

        async def lane() -> None:
            for number in numbers:
                reply = f"{self._inbox}.{number}"
                self._waiting[reply] = answer = create_future()
                await self._js.publish(SUBJECT, encode(Work(number, reply)))
                await answer

        self._watch.start()
        start = time.perf_counter()
        await asyncio.wait_for(asyncio.gather(*(lane() for _ in range(in_flight))), 120)
        per_s = tasks / (time.perf_counter() - start)
        return Run(per_s, self._watch.stop())

    async def trips(self, count: int) -> tuple[list[float], list[float]]:
        """One task at a time: milliseconds until the publish is acknowledged, and until the reply is there."""
        acknowledged, replied = [], []
        for number in range(count):
            reply = f"{self._inbox}.trip{number}"
            self._waiting[reply] = answer = asyncio.get_running_loop().create_future()
            body = msgspec.json.encode(Work(number, reply))
            start = time.perf_counter()
            await self._js.publish(SUBJECT, body)
            acknowledged.append((time.perf_counter() - start) * 1e3)
            await asyncio.wait_for(answer, 10)
            replied.append((time.perf_counter() - start) * 1e3)
        return acknowledged, replied


def in_flight(concurrency: int) -> int:
    """Submitters at once, in every end-to-end run: enough that the worker never waits for one."""
    return max(64, 4 * concurrency)


async def publish_rate(access: NatsSettings, messages: int, in_flight: int) -> float:
    """Messages per second of acknowledged publishes to a stream of its own that nobody reads."""
    nc = await connect(access)
    js = nc.jetstream()
    await js.add_stream(StreamConfig(name=STREAM, subjects=[SUBJECT]))
    body = msgspec.json.encode(Work(0, "nowhere"))
    numbers = iter(range(messages))

    async def lane() -> None:
        for _ in numbers:
            await js.publish(SUBJECT, body)

    try:
        start = time.perf_counter()
        await asyncio.gather(*(lane() for _ in range(in_flight)))
        return messages / (time.perf_counter() - start)
    finally:
        await js.delete_stream(STREAM)
        await nc.close()


async def read_rate(access: NatsSettings, stream: str, after: int, messages: int) -> float:
    """Messages per second of fetching and acknowledging what a stream holds after a position."""
    nc = await connect(access)
    js = nc.jetstream()
    config = ConsumerConfig(
        durable_name="bench_read",
        deliver_policy=DeliverPolicy.BY_START_SEQUENCE,
        opt_start_seq=after + 1,
        ack_policy=AckPolicy.EXPLICIT,
        max_ack_pending=10_000,
    )
    await js.add_consumer(stream, config)
    try:
        subscription = await js.pull_subscribe_bind("bench_read", stream)
        start, read = time.perf_counter(), 0
        while read < messages:
            for message in await subscription.fetch(min(500, messages - read), timeout=5):
                await message.ack()
                read += 1
        await nc.flush()
        return read / (time.perf_counter() - start)
    finally:
        await js.delete_consumer(stream, "bench_read")
        await nc.close()


async def _alone(tasks: int, repetitions: int, concurrencies: tuple[int, ...]) -> None:
    """Print the raw loop's figures on a bare server, for both durabilities."""
    for durability in DURABILITIES:
        with NatsServer(durability).start() as server:
            access = server.admin
            for concurrency in concurrencies:
                async with RawLoop.open(access, concurrency, {"nats": server.pid}) as loop:
                    runs = [await loop.run(tasks, in_flight(concurrency)) for _ in range(repetitions)]
                rate = Spread.of(run.per_s for run in runs)
                print(
                    f"{durability:8} {concurrency:4} in flight: {rate.median:7.0f} tasks/s "
                    f"({rate.minimum:.0f}-{rate.maximum:.0f})  CPU seconds {runs[-1].cpu_s}"
                )
            async with RawLoop.open(access, 1, {}) as loop:
                acknowledged, replied = await loop.trips(300)
            print(
                f"{durability:8} one at a time: acknowledged p50 {percentile(acknowledged, 50):.2f} ms, "
                f"reply p50 {percentile(replied, 50):.2f} p99 {percentile(replied, 99):.2f} ms; "
                f"publishes, 64 in flight: {await publish_rate(access, tasks * 3, 64):.0f}/s"
            )


def main() -> None:
    """`worker BATCH` is what the loop starts; without arguments the figures of a bare server are printed."""
    if sys.argv[1:2] == ["worker"]:
        uvloop.run(_work(load().nats, int(sys.argv[2])))
    else:
        uvloop.run(_alone(5000, 3, (16, 64, 256)))


if __name__ == "__main__":
    main()
