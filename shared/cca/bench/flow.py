"""No-op tasks through the whole bus: submitted, routed, started and completed in the log, the outcome awaited."""

import asyncio
import contextlib
import os
import sys
import time
from collections.abc import Coroutine, Iterable, Iterator, Mapping

import msgspec
import uvloop

from cca.bench.processes import Watch, child
from cca.bench.raw import TEXT, Run
from cca.bench.server import environment
from cca.bench.spread import Spread, percentile
from cca.bench.verify import check_log
from cca.contracts.agent import Agents, ListAgents
from cca.contracts.task import GetTask, RunTask, SubmitTask, TaskAccepted, TaskView
from cca.errors import Busy, CcaError
from cca.ids import uuid7
from cca.nats import subjects
from cca.nats.bus import Bus, connect
from cca.nats.log import JetStreamLog
from cca.testing.servers import NatsServer

WAIT_S = 120.0


def requests(role: str, count: int) -> Iterator[SubmitTask]:
    """New no-op tasks for a role, each with as much text as a task of the raw loop carries."""
    for _ in range(count):
        yield SubmitTask(description="no-op", role=role, id=uuid7(), input={"text": TEXT})


def completed(view: TaskView) -> None:
    """Raises `CcaError` when a task ended in another way."""
    if view.state != "completed":
        raise CcaError(f"task {view.task} ended as {view.state}: {view.failure or view.waiting or view.reason}")


async def run(bus: Bus, role: str, tasks: int, in_flight: int, pids: Mapping[str, int]) -> Run:
    """Submit `tasks` tasks and await their outcomes, `in_flight` at a time; timed from first to last.

    Raises an error when one did not complete. `pids`: whose CPU seconds to count, beside our own.
    """
    encode = msgspec.json.Encoder().encode
    decode = msgspec.json.Decoder(TaskView).decode
    todo = requests(role, tasks)
    watch = Watch({**pids, "submitter": os.getpid()})

    async def lane() -> None:
        for task in todo:
            body = encode(RunTask(task, wait_s=WAIT_S))
            completed(decode(await bus.request(subjects.RPC_RUN, body, timeout=WAIT_S)))

    watch.start()
    start = time.perf_counter()
    await _together(lane() for _ in range(in_flight))
    per_s = tasks / (time.perf_counter() - start)
    return Run(per_s, watch.stop())


async def submit(bus: Bus, role: str, tasks: int, in_flight: int) -> tuple[float, list[str]]:
    """Submit only: accepted tasks per second, and their ids. Accepted means durable."""
    todo = list(requests(role, tasks))
    waiting = iter(todo)

    async def lane() -> None:
        for task in waiting:
            await bus.ask(subjects.RPC_SUBMIT, task, TaskAccepted, timeout=WAIT_S)

    start = time.perf_counter()
    await _together(lane() for _ in range(in_flight))
    return tasks / (time.perf_counter() - start), [task.id for task in todo if task.id]


async def wait_for(bus: Bus, tasks: Iterable[str], in_flight: int = 64) -> None:
    """Wait until submitted tasks have completed."""
    waiting = iter(tasks)

    async def lane() -> None:
        for task in waiting:
            completed(await bus.ask(subjects.RPC_GET, GetTask(task, WAIT_S), TaskView, timeout=WAIT_S))

    await _together(lane() for _ in range(in_flight))


async def trips(bus: Bus, role: str, count: int) -> list[float]:
    """Milliseconds from the submission of a task to its outcome, one task at a time."""
    taken = []
    for task in requests(role, count):
        start = time.perf_counter()
        view = await bus.ask(subjects.RPC_RUN, RunTask(task, wait_s=WAIT_S), TaskView, timeout=WAIT_S)
        taken.append((time.perf_counter() - start) * 1e3)
        completed(view)
    return taken


async def submits(bus: Bus, role: str, count: int) -> list[float]:
    """Milliseconds until a submission is accepted, one at a time, nothing else going on.

    Each task is waited for before the next is submitted, outside of the measured time.
    """
    taken = []
    for task in requests(role, count):
        start = time.perf_counter()
        accepted = await bus.ask(subjects.RPC_SUBMIT, task, TaskAccepted, timeout=WAIT_S)
        taken.append((time.perf_counter() - start) * 1e3)
        await wait_for(bus, [accepted.task], 1)
    return taken


async def _together(lanes: Iterable[Coroutine[object, object, None]]) -> None:
    async with asyncio.TaskGroup() as group:
        for lane in lanes:
            group.create_task(lane)


async def until_joined(bus: Bus, role: str, workers: int = 1) -> None:
    """Wait until a role has so many live workers."""
    while True:
        with contextlib.suppress(Busy):
            if len((await bus.ask(subjects.RPC_AGENTS, ListAgents(role), Agents)).agents) >= workers:
                return
        await asyncio.sleep(0.02)


async def _alone(tasks: int, repetitions: int, concurrencies: tuple[int, ...], durability: str) -> None:
    """Print rates of the router and one worker on a bare server: no projector, no gateway."""
    with NatsServer(durability).start() as server:
        env = environment(server.settings)
        router = await asyncio.create_subprocess_exec(sys.executable, "-m", "cca_router", env=env)
        try:
            async with connect(server.admin, "bench") as bus:
                log = JetStreamLog(bus)
                for concurrency in concurrencies:
                    role, rates = f"bench{concurrency}", []
                    async with child("cca.bench.worker", role, str(concurrency), env=env) as worker:
                        await until_joined(bus, role)
                        for _ in range(repetitions):
                            after = await log.last_seq()
                            pids = {"nats": server.pid, "router": router.pid, "worker": worker}
                            done = await run(bus, role, tasks, max(64, 4 * concurrency), pids)
                            await check_log(log, after, tasks)
                            rates.append(done.per_s)
                            print(f"{concurrency:4} {done.per_s:7.0f}/s {done.cpu_s}", flush=True)
                        taken = await trips(bus, role, 300)
                    rate = Spread.of(rates)
                    print(
                        f"{durability} concurrency {concurrency}: {rate.median:.0f} tasks/s "
                        f"({rate.minimum:.0f}-{rate.maximum:.0f}), one at a time p50 {percentile(taken, 50):.2f} ms, "
                        f"p99 {percentile(taken, 99):.2f} ms"
                    )
        finally:
            router.terminate()
            await router.wait()


if __name__ == "__main__":
    uvloop.run(_alone(5000, 3, (16, 64, 256), sys.argv[1] if len(sys.argv) > 1 else "always"))
