"""The order of a run: which stacks it starts, what it measures on each, our way and the raw one by turns."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial

import msgspec

from cca.bench import commits, flow, http, processes, raw, verify
from cca.bench.machine import fsync_p50_ms
from cca.bench.own_stack import OwnStack, folder, own_stack
from cca.bench.processes import child
from cca.bench.raw import in_flight
from cca.bench.results import Side, Sides
from cca.bench.server import DURABILITIES, Durability
from cca.bench.spread import percentile
from cca.nats import setup
from cca.nats.bus import connect
from cca.nats.log import JetStreamLog
from cca.postgres.pool import close_pool, connect_pool
from cca.testing.servers import NatsServer

PARTS = ("end-to-end", "submit", "trips", "http", "append", "projection", "memory")
PROJECTOR = "cca_projector"
HTTP_IN_FLIGHT = 64

Say = Callable[[str], None]


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """What to measure, and how often.

    `settle_s`: seconds without work before memory is counted, so that what the start needed is given back.
    """

    tasks: int = 5_000
    repetitions: int = 3
    concurrencies: tuple[int, ...] = (16, 64, 256)
    trips: int = 300
    parts: frozenset[str] = frozenset(PARTS)
    durabilities: tuple[Durability, ...] = DURABILITIES
    settle_s: float = 5.0


async def measure(options: Options, say: Say) -> Sides:
    """Run everything that was asked for; `say` is told each step. Raises `Mismatch` when a run did not add up."""
    sides: Sides = {}
    for durability in options.durabilities:
        side = sides[durability] = Side()
        asked = _asked(options, durability)
        if asked - {"append"}:
            with folder() as directory:
                say(f"{durability}: a stack starts")
                async with own_stack(directory, durability, without=PROJECTOR) as stack:
                    await _OnStack(stack, side, options, partial(_say_of, say, durability)).run(asked)
        if "append" in asked:
            await _append(durability, side, options, say)
    return sides


def _say_of(say: Say, durability: Durability, text: str) -> None:
    say(f"{durability}: {text}")


def steps(options: Options) -> int:
    """How often `say` will be called."""
    total = 0
    for durability in options.durabilities:
        asked = _asked(options, durability)
        total += 1 if asked - {"append"} else 0
        total += 2 * ("memory" in asked)
        each = {"end-to-end": 2 * len(options.concurrencies)}
        total += options.repetitions * sum(each.get(part, 1) for part in asked - {"memory"})
    return total


def _asked(options: Options, durability: Durability) -> frozenset[str]:
    return options.parts if durability == "always" else options.parts & {"end-to-end", "submit", "append"}


async def _append(durability: Durability, side: Side, options: Options, say: Say) -> None:
    """The log alone, on a server of its own: nobody follows it."""
    events = options.tasks * 2
    with NatsServer(durability).start() as server:
        async with connect(server.settings, "bench") as bus:
            await setup.ensure(bus)
            for number in range(options.repetitions):
                say(f"{durability}: log appends, repetition {number + 1} of {options.repetitions}")
                side.add("append_per_s", await commits.append_rate(bus, events, 64))
                side.add("raw_append_per_s", await raw.publish_rate(server.settings, events, 64))


class _OnStack:
    """The measurements on one running stack."""

    def __init__(self, stack: OwnStack, side: Side, options: Options, say: Say) -> None:
        self._stack, self._side, self._options, self._say = stack, side, options, say
        self._roles = 0

    async def run(self, asked: frozenset[str]) -> None:
        settings = self._stack.postgres
        async with connect(self._stack.nats, "bench") as bus:
            self._bus, self._log = bus, JetStreamLog(bus)
            async with self._stack.service(PROJECTOR) as projector:
                self._pids = {**self._stack.pids, "projector": projector}
                self._pool = await connect_pool(settings, "bench")
                try:
                    await self._steps(asked)
                finally:
                    await close_pool(self._pool)
            if "projection" in asked:
                await self._projection()

    async def _steps(self, asked: frozenset[str]) -> None:
        if "memory" in asked:
            await self._memory("stack_pss")
        for number in range(self._options.repetitions):
            self._now = f"repetition {number + 1} of {self._options.repetitions}"
            self._side.add("fsync_p50_ms", await asyncio.to_thread(fsync_p50_ms, self._stack.directory))
            if "end-to-end" in asked:
                for concurrency in self._options.concurrencies:
                    await self._end_to_end(concurrency)
            if "submit" in asked:
                await self._submit()
            if "trips" in asked:
                await self._trips()
            if "http" in asked:
                await self._http()
        if "memory" in asked:
            await self._memory("stack_pss_after_load")

    # ------------------------------------------------------------------------------------ one measurement each

    async def _end_to_end(self, concurrency: int) -> None:
        tasks = self._options.tasks
        self._say(f"end to end, worker concurrency {concurrency}, {self._now}")
        async with self._worker(concurrency) as (role, pid):
            await self._warm_up(role, concurrency)
            after = await self._log.last_seq()
            pids = {**self._pids, "worker": pid}
            done = await flow.run(self._bus, role, tasks, in_flight(concurrency), pids)
            self._side.add(f"end_to_end_per_s@{concurrency}", done.per_s)
            self._side.cpu_s.setdefault(f"end_to_end@{concurrency}", []).append(done.cpu_s)
            behind_s = await verify.caught_up(self._pool, await verify.end_of_events(self._bus))
            self._side.add(f"catch_up_s@{concurrency}", behind_s)
            await verify.check_log(self._log, after, tasks)
            await verify.check_tables(self._pool, role, tasks + warm_up(concurrency))
        self._say(f"raw loop, {concurrency} in flight, {self._now}")
        server = {"nats": self._pids["nats"]}
        async with raw.RawLoop.open(self._stack.nats, concurrency, server) as loop:
            await loop.run(warm_up(concurrency), in_flight(concurrency))
            bare = await loop.run(tasks, in_flight(concurrency))
        self._side.add(f"raw_end_to_end_per_s@{concurrency}", bare.per_s)
        self._side.cpu_s.setdefault(f"raw_end_to_end@{concurrency}", []).append(bare.cpu_s)

    async def _submit(self) -> None:
        self._say(f"submissions alone, {self._now}")
        tasks = self._options.tasks
        async with self._worker(1, "hold") as (role, _):
            per_s, ids = await flow.submit(self._bus, role, tasks, 64)
            # Who holds the lane takes nothing more; another does what was submitted, which is not measured.
            async with child("cca.bench.worker", role, "256", env=self._stack.environment()):
                await flow.wait_for(self._bus, ids[1:])
        await flow.wait_for(self._bus, ids[:1])
        self._side.add("submit_per_s", per_s)
        self._side.add("raw_submit_per_s", await raw.publish_rate(self._stack.nats, tasks, 64))
        await verify.caught_up(self._pool, await verify.end_of_events(self._bus))

    async def _trips(self) -> None:
        self._say(f"round trips one at a time, {self._now}")
        count = self._options.trips
        async with self._worker(64) as (role, _):
            await flow.trips(self._bus, role, 20)
            self._quantiles("trip", await flow.trips(self._bus, role, count))
            self._quantiles("submit_nats", await flow.submits(self._bus, role, count))
            async with http.session(self._stack.http_url, self._stack.api_key) as opened:
                await http.submits(opened, self._bus, role, 20)
                self._quantiles("submit_http", await http.submits(opened, self._bus, role, count))
        async with raw.RawLoop.open(self._stack.nats, 1, {}) as loop:
            await loop.trips(20)
            acknowledged, replied = await loop.trips(count)
        self._quantiles("raw_trip", replied)
        self._quantiles("raw_submit", acknowledged)

    async def _http(self) -> None:
        self._say(f"end to end over HTTP, {HTTP_IN_FLIGHT} in flight, {self._now}")
        async with (
            self._worker(64) as (role, pid),
            http.session(self._stack.http_url, self._stack.api_key) as opened,
        ):
            await http.run(opened, role, 200, HTTP_IN_FLIGHT, {})
            after = await self._log.last_seq()
            pids = {**self._pids, "worker": pid}
            tasks = max(self._options.tasks // 2, 1)
            done = await http.run(opened, role, tasks, HTTP_IN_FLIGHT, pids)
            await verify.check_log(self._log, after, tasks)
        self._side.add("http_end_to_end_per_s", done.per_s)
        self._side.cpu_s.setdefault("http_end_to_end", []).append(done.cpu_s)
        await verify.caught_up(self._pool, await verify.end_of_events(self._bus))

    async def _projection(self) -> None:
        tasks = self._options.tasks * 2
        for number in range(self._options.repetitions):
            self._say(f"projection of a backlog, repetition {number + 1} of {self._options.repetitions}")
            after = await self._log.last_seq()
            async with self._worker(256) as (role, _):
                await flow.run(self._bus, role, tasks, in_flight(256), {})
            goal = await verify.end_of_events(self._bus)
            pool = await connect_pool(self._stack.postgres, "bench")
            try:
                async with self._stack.service(PROJECTOR):
                    self._side.add("projection_events_per_s", await commits.projection_rate(pool, goal))
                await verify.check_tables(pool, role, tasks)
            finally:
                await close_pool(pool)
            self._side.add("raw_read_per_s", await raw.read_rate(self._stack.nats, "CCA_EVENTS", after, tasks * 4))

    async def _memory(self, name: str) -> None:
        self._say("memory of the idle stack")
        await asyncio.sleep(self._options.settle_s)
        total = 0.0
        for part, pid in self._pids.items():
            size = sum(map(processes.pss_mb, processes.descendants(pid)))
            self._side.add(f"{name}_of_{part}_mb", size)
            total += size
        self._side.add(f"{name}_mb", total)

    # ------------------------------------------------------------------------------------ parts of them

    @asynccontextmanager
    async def _worker(self, concurrency: int, *more: str) -> AsyncIterator[tuple[str, int]]:
        """A worker process for a role that nobody had before; yields the role and the process id."""
        self._roles += 1
        role = f"bench{self._roles}"
        environ = self._stack.environment()
        async with child("cca.bench.worker", role, str(concurrency), *more, env=environ) as pid:
            await flow.until_joined(self._bus, role)
            yield role, pid

    async def _warm_up(self, role: str, concurrency: int) -> None:
        """A few tasks before the measured ones, as in the raw loop: connections and code paths are warm."""
        await flow.run(self._bus, role, warm_up(concurrency), in_flight(concurrency), {})

    def _quantiles(self, name: str, milliseconds: Sequence[float]) -> None:
        for percent in (50, 99):
            self._side.add(f"{name}_p{percent}_ms", percentile(milliseconds, percent))


def warm_up(concurrency: int) -> int:
    """Tasks that are run before the measured ones."""
    return 2 * concurrency
