"""How fast the learner reads a log: `python -m tests.learner.measure [TASKS]`.

Three figures, best of some runs: hearing events that are in memory, following a log on a real server without hearing
it, and a start of the learner, which is both. CPU seconds are of this process alone; the server has a core of its own.
"""

import asyncio
import gc
import sys
import time

import uvloop
from tests.learner.histories import NAMES, Said, entries, headers_of, history, subject_of

from cca import codec
from cca.nats import setup
from cca.nats.bus import Bus, connect
from cca.nats.follow import Follower
from cca.testing.servers import NatsServer
from cca_learner.decide import Policy
from cca_learner.memory import Memory
from cca_learner.window import CHUNK, remembered

RUNS = 5
AT_ONCE = 2_000


class Clock:
    """Seconds and CPU seconds since it was made."""

    def __init__(self) -> None:
        gc.collect()
        self._wall, self._cpu = time.perf_counter(), time.process_time()

    def said(self, what: str, events: int, digest: str = "") -> None:
        wall, cpu = time.perf_counter() - self._wall, time.process_time() - self._cpu
        print(f"{what:24} {events / wall:9,.0f} events/s   {events / cpu:9,.0f} events per CPU second   {digest[:12]}")


def hear(said: list[Said]) -> None:
    log = entries(said)
    gc.freeze()
    for _ in range(RUNS):
        clock, memory = Clock(), Memory(Policy().params, NAMES)
        for start in range(0, len(log), CHUNK):
            memory.apply(log[start : start + CHUNK])
        clock.said("hearing", len(log), memory.digest())


async def fill(bus: Bus, said: list[Said]) -> None:
    for start in range(0, len(said), AT_ONCE):
        part = [
            bus.request(subject_of(event), codec.encode(event), headers_of(event, number, at), timeout=120)
            for number, (event, at) in enumerate(said[start : start + AT_ONCE], start)
        ]
        await asyncio.gather(*part)


async def replay(said: list[Said]) -> None:
    with NatsServer(durability="interval").start() as server:
        async with connect(server.settings, "measure") as bus:
            await setup.ensure(bus)
            await fill(bus, said)
            gc.freeze()
            for _ in range(RUNS):
                clock, taken = Clock(), 0
                follower = await Follower.start(bus, "measure")
                while taken < len(said):
                    taken += len(await follower.take(CHUNK, wait_s=10))
                    await asyncio.sleep(0)
                clock.said("following", taken)
                await follower.stop()
                clock = Clock()
                memory, events = await remembered(bus, Policy(vocabulary=NAMES))
                clock.said("a start", events, memory.digest())


if __name__ == "__main__":
    said = history(int(sys.argv[1]) if len(sys.argv) > 1 else 20_000)
    gc.set_threshold(50_000, 20, 20)  # as `cca.service` does
    hear(said)
    uvloop.run(replay(said))
