"""Routing learns on the whole system: real services, workers with hidden rates of success, and processes killed."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from tests.whole.fleet import Fleet, assert_each_ended_once, history

from cca.client import Client
from cca.config import PostgresSettings
from cca.contracts.learner import (
    Averages,
    ConfigurePolicy,
    ExplainTask,
    Explanation,
    GetPolicy,
    GetWorkloads,
    PolicyStatus,
    TrainPolicy,
)
from cca.contracts.policy import Params, References, Reward
from cca.contracts.task import TaskRouted, TaskSubmitted
from cca.errors import CcaError
from cca.nats import subjects
from cca.nats.bus import Bus, connect
from cca.testing.servers import NatsServer

TASKS, IN_FLIGHT = 3_000, 32
KINDS = ("docs", "code", "design")
COST = {"cheap": 0.02, "middle": 0.1, "strong": 0.5}
SUCCESS = {
    "cheap": {"docs": 0.95, "code": 0.2, "design": 0.05},
    "middle": {"docs": 0.5, "code": 0.9, "design": 0.2},
    "strong": {"docs": 0.6, "code": 0.5, "design": 0.9},
}
"""What the lanes can really do. Only their workers know."""

WORKER = f"""
import asyncio, sys
from cca import Worker
from cca.contracts.task import Usage
from cca.routing.policy import seed_of, unit
from cca.worker import Fail

SUCCESS, COST = {SUCCESS!r}[sys.argv[1]], {COST!r}[sys.argv[1]]

async def handle(task):
    task.usage = Usage(1000, 200, COST)
    await asyncio.sleep(0.01)
    if unit(seed_of(task.id, "luck")) >= SUCCESS[task.kind]:
        raise Fail("not up to it", retryable=False)
    return "done"

asyncio.run(Worker("backend", handle, lane=sys.argv[1], concurrency=32, name=sys.argv[1]).run())
"""
PARAMS = Params(update_s=0.2, breaker_failures=1_000, reward=Reward(references=References(cost_usd=0.2)))


@pytest.fixture
async def fleet(nats_server: NatsServer, postgres: PostgresSettings) -> AsyncIterator[Fleet]:
    with Fleet(nats_server, postgres) as fleet:
        for service in ("cca_router", "cca_learner", "cca_projector", "cca_gateway"):
            await fleet.start_service(service)
        for lane in SUCCESS:
            fleet.start(lane, "-c", WORKER, lane)
            await fleet.joined(lane)
        yield fleet


def worth(lane: str, kind: str) -> float:
    """The expected reward of a kind of task in a lane: success, money and latency with their weights."""
    success, money = SUCCESS[lane][kind], 0.2 / (0.2 + COST[lane])
    return (0.6 * success + 0.15 * money + 0.1 * success) / 0.85


async def settled(bus: Bus) -> PolicyStatus:
    """The policy, once the learner has read everything that is in the log now and has learned from it."""
    while True:
        try:
            before = (await bus.ask(subjects.RPC_LEARNER_STATUS, GetPolicy(), PolicyStatus)).head
            now = await bus.ask(subjects.RPC_LEARNER_TRAIN, TrainPolicy(), PolicyStatus, timeout=30)
        except CcaError:
            before, now = 0, None
        if now is not None and now.head - now.position <= 1 and now.head - before <= 1:
            return now
        await asyncio.sleep(0.1)


@pytest.mark.covers("H8")
async def test_lanes_are_found_out_and_neither_a_killed_learner_nor_router_changes_what_is_known(fleet: Fleet) -> None:
    async with connect(fleet.admin, "test") as bus:
        await bus.ask(subjects.RPC_LEARNER_CONFIGURE, ConfigurePolicy(params=PARAMS), PolicyStatus)
    accepted: set[str] = set()
    done = 0

    async def submit_all() -> None:
        nonlocal done
        numbers = iter(range(TASKS))
        async with Client.connect(fleet.admin.url, fleet.admin.password) as client:

            async def lane() -> None:
                nonlocal done
                for number in numbers:
                    kind = KINDS[number % 3]
                    task = await client.submit("backend", f"{kind} {number}", kind=kind, max_attempts=1)
                    accepted.add(task.id)
                    await client.wait(task.id)
                    done += 1

            await asyncio.gather(*(lane() for _ in range(IN_FLIGHT)))

    async def until(share: float) -> None:
        while done < TASKS * share:
            await asyncio.sleep(0.02)

    submitting = asyncio.create_task(submit_all())
    await until(0.3)
    fleet.kill("cca_learner")
    await until(0.4)
    await fleet.start_service("cca_learner")
    await until(0.5)
    fleet.kill("cca_router")
    await fleet.start_service("cca_router")
    await asyncio.wait_for(submitting, 180)

    events = await history(fleet.nats)
    assert_each_ended_once(events, accepted)
    routed: list[tuple[str, TaskRouted]] = []
    for task in sorted(accepted):  # ids are UUIDv7: in the order of submission
        kinds = [event.kind for event in events[task] if isinstance(event, TaskSubmitted)]
        routed += [(kinds[0] or "", event) for event in events[task] if isinstance(event, TaskRouted)][-1:]
    late = routed[-TASKS // 3 :]
    earned = sum(worth(event.lane, kind) for kind, event in late) / len(late)
    oracle = sum(max(worth(lane, kind) for lane in SUCCESS) for kind, _ in late) / len(late)
    uniform = sum(worth(lane, kind) for lane in SUCCESS for kind, _ in late) / len(late) / 3
    print(f"last third: earned {earned:.3f}, oracle {oracle:.3f} ({earned / oracle:.1%}), uniform {uniform:.3f}")
    assert earned >= 1.25 * uniform
    assert earned >= 0.9 * oracle

    async with connect(fleet.admin, "test") as bus:
        known = await settled(bus)
        assert known.algorithm == "linear-pm"
        assert known.decisions >= TASKS
        fleet.kill("cca_learner")
        await fleet.start_service("cca_learner")
        again = await settled(bus)
        assert again.digest == known.digest
        assert again.lanes.keys() == {f"backend/{lane}" for lane in SUCCESS}

        # Decisions of the beginning, the middle and the end come out the same when they are made again.
        replayed = [routed[len(routed) * part // 10][1].task for part in (1, 5, 8)] + [routed[-1][1].task]
        for task in replayed:
            question = ExplainTask(task, replay=True)
            why = await bus.ask(subjects.RPC_LEARNER_EXPLAIN, question, Explanation, timeout=60)
            assert why.replay is not None, why.note
            assert why.replay.equal, why.replay.difference
        learned = await bus.ask(subjects.RPC_LEARNER_EXPLAIN, ExplainTask(replayed[-1]), Explanation)
        assert learned.policy == "linear-pm/1"
        assert learned.outcome in ("completed", "failed")
        assert learned.against

        averages = await bus.ask(subjects.RPC_LEARNER_WORKLOADS, GetWorkloads(), Averages)
        assert set(averages.agents) == set(SUCCESS)
        assert averages.lanes["backend/strong"].cost_usd == pytest.approx(COST["strong"])
        assert fleet.stop("cheap") == 0
        while "cheap" in (await bus.ask(subjects.RPC_LEARNER_WORKLOADS, GetWorkloads(), Averages)).agents:
            await asyncio.sleep(0.05)

    verified = await asyncio.to_thread(fleet.run, "projections", "verify")
    assert verified.returncode == 0, verified.stdout + verified.stderr
    for command in (("rl", "status"), ("rl", "explain", routed[-1][1].task), ("rl", "replay", routed[-1][1].task)):
        ran = await asyncio.to_thread(fleet.run, *command)
        print(ran.stdout)
        assert ran.returncode == 0, ran.stdout + ran.stderr
    for name in ("cca_router", "cca_learner", "cca_gateway"):
        assert "Traceback" not in fleet.log(name), fleet.log(name)[-4000:]
