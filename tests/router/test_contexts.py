"""Contexts over their role's budget: what workers get, and that no task waits for it or is lost by it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from tests.router.hand import Hand, router, submit, view

from cca import codec
from cca.config import NatsSettings
from cca.contracts.agent import CompleteTasks, Completion, Reported
from cca.contracts.ledger import RolePolicy, TokenPolicies
from cca.contracts.task import Failure, RetryTask, SubmitTask, TaskCondensed, TaskView, Usage
from cca.contracts.tokens import CondenseContext, Condensed
from cca.errors import Refused
from cca.ids import uuid7
from cca.message import Event, Meta, Reply, Stream
from cca.nats import setup, subjects
from cca.nats.bus import Bus, connect
from cca.nats.log import JetStreamLog
from cca.nats.micro import Service
from cca.testing.examples import ID, NOW
from cca.testing.given import given
from cca_router import contexts, decide
from cca_router.facts import Facts
from cca_router.state import TASK

LONG = "line of context\n" * 100
SHORT = Condensed(
    "line of context (x100)", 3, "gpt-4o", True, 400, 6, {"noise": 394}, ("a" * 20,), "b" * 20, cuts={"noise": 2}
)
CONDENSED = TaskCondensed(ID, "short", "gpt-4o", 400, 6, {"noise": 394}, ("a" * 20,), "b" * 20, 3)

Answer = Callable[[CondenseContext, Meta], Awaitable[Reply]]


@pytest.fixture
async def bus(nats: NatsSettings) -> AsyncIterator[Bus]:
    async with connect(nats, "test") as bus:
        await setup.ensure(bus)
        yield bus


async def policies(bus: Bus, version: int, **roles: RolePolicy) -> None:
    await bus.request(subjects.TOKEN_POLICIES, codec.encode(TokenPolicies(version, roles)))


async def token_service(bus: Bus, answer: Answer) -> Service:
    """Something in place of the token service, that answers as a test wants it."""
    service = Service(bus, "cca_tokens", "test")
    await service.serve(subjects.RPC_TOKENS_CONDENSE, CondenseContext, answer, Condensed)
    await service.start()
    await bus.flush()
    return service


async def events(bus: Bus, task: str) -> list[Event]:
    return [one.event async for one in JetStreamLog(bus).read(Stream("task", task))]


# ------------------------------------------------------------------------------------------ decided


def test_the_condensed_context_stands_in_the_log_between_submission_and_routing() -> None:
    asked = SubmitTask("do it", role="docs", context=LONG)
    decision = decide.submit(asked, ID, Facts(NOW, lambda role: []), TASK.initial, condensed=CONDENSED)
    assert [type(event).__name__ for event in decision.events] == ["TaskSubmitted", "TaskCondensed", "TaskHeld"]


def test_a_repeated_submission_adds_no_second_condensation() -> None:
    asked = SubmitTask("do it", role="docs", context=LONG)
    facts = Facts(NOW, lambda role: [])
    first = decide.submit(asked, ID, facts, TASK.initial, condensed=CONDENSED)
    given(TASK, *first.events).when(lambda task: decide.submit(asked, ID, facts, task, condensed=CONDENSED)).then()


# ------------------------------------------------------------------------------------------ on the bus


async def test_workers_get_the_condensed_context_again_and_again(nats: NatsSettings, bus: Bus) -> None:
    asked: list[CondenseContext] = []

    async def answer(command: CondenseContext, meta: Meta) -> Condensed:
        asked.append(command)
        return SHORT

    await policies(bus, 1, backend=RolePolicy(max_tokens=100))
    await token_service(bus, answer)
    async with router(nats):
        hand = await Hand(bus, "backend", "w1", "default").join()
        task = await submit(bus, context=LONG, max_attempts=1)
        delivery, work = await hand.take()
        assert (work.context, work.original) == (SHORT.context, SHORT.original)
        assert await hand.fail(delivery, await hand.claim(delivery, work), Failure("error", "no luck"))
        await bus.ask(subjects.RPC_RETRY, RetryTask(task), TaskView)
        _, again = await hand.take()
        assert (again.context, again.original) == (SHORT.context, SHORT.original)
    assert [(one.task, one.role, one.context) for one in asked] == [(task, "backend", LONG)]
    log = await events(bus, task)
    assert [type(event).__name__ for event in log[:3]] == ["TaskSubmitted", "TaskCondensed", "TaskRouted"]
    condensed = log[1]
    assert isinstance(condensed, TaskCondensed)
    assert (condensed.before, condensed.after, condensed.refs, condensed.version) == (400, 6, ("a" * 20,), 3)
    assert (condensed.saved, condensed.cuts) == (SHORT.saved, SHORT.cuts)


@pytest.mark.parametrize("trouble", ["away", "refuses", "silent", "fits"])
async def test_without_an_answer_the_task_goes_with_all_of_its_context(
    nats: NatsSettings, bus: Bus, trouble: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contexts, "PATIENCE_S", 0.3)
    await policies(bus, 1, backend=RolePolicy(max_tokens=100))

    async def answer(command: CondenseContext, meta: Meta) -> Condensed:
        if trouble == "refuses":
            raise Refused("too-hard", "not this one")
        if trouble == "silent":
            await asyncio.sleep(30)
        return Condensed()

    if trouble != "away":
        await token_service(bus, answer)
    async with router(nats):
        hand = await Hand(bus, "backend", "w1", "default").join()
        task = await submit(bus, context=LONG)
        _, work = await hand.take()
        assert (work.context, work.original) == (LONG, None)
    assert not any(isinstance(event, TaskCondensed) for event in await events(bus, task))


async def test_only_what_may_be_over_its_budget_is_asked_about(nats: NatsSettings, bus: Bus) -> None:
    asked: list[str] = []

    async def answer(command: CondenseContext, meta: Meta) -> Condensed:
        asked.append(command.task)
        return SHORT

    await token_service(bus, answer)
    async with router(nats):
        first = await submit(bus, context=LONG)  # no policy at all
        await policies(bus, 1, docs=RolePolicy(max_tokens=100))
        await policies(bus, 2, docs=RolePolicy(max_tokens=100), **{"*": RolePolicy(max_tokens=len(LONG))})
        second = await submit(bus, context=LONG)  # as many bytes as tokens are allowed
        third = await submit(bus, context=LONG + "!")
        fourth = await submit(bus, role="docs", context=LONG)
        fifth = await submit(bus, role="docs")
        await policies(bus, 1)  # an older version changes nothing
        sixth = await submit(bus, role="docs", context=LONG, id=uuid7())
    assert asked == [third, fourth, sixth]
    assert len({first, second, third, fourth, fifth, sixth}) == 6


async def test_policies_are_known_after_a_restart_and_nonsense_changes_nothing(nats: NatsSettings, bus: Bus) -> None:
    asked: list[str] = []

    async def answer(command: CondenseContext, meta: Meta) -> Condensed:
        asked.append(command.task)
        return SHORT

    await token_service(bus, answer)
    await policies(bus, 7, backend=RolePolicy(max_tokens=100))
    async with router(nats):
        await bus.request(subjects.TOKEN_POLICIES, b'{"version":8,"roles":{"backend":{"max_tokens":-1}}}')
        task = await submit(bus, context=LONG)
    assert asked == [task]


# ------------------------------------------------------------------------------------------ prices


async def test_usage_without_a_cost_gets_one_from_the_table(nats: NatsSettings, bus: Bus) -> None:
    async with router(nats):
        hand = await Hand(bus, "backend", "w1", "default").join()
        for usage, cost, source in (
            (Usage(1_000_000, 100_000, model="claude-sonnet-4-5-20250929", cache_read_tokens=1_000_000), 4.8, "table"),
            (Usage(1_000, 100, 0.25, "claude-sonnet-4-5"), 0.25, "reported"),
            (Usage(1_000, 100, model="somebody-s-own"), 0.0, None),
        ):
            task = await submit(bus)
            delivery, verdict = await hand.begin()
            done = Completion(task, verdict.attempt, "ok", usage)
            assert (await hand.report("complete", CompleteTasks((done,)), Reported)).receipts[0].ok
            delivery.ack()
            found = (await view(bus, task)).usage
            assert found is not None
            assert (round(found.cost_usd, 9), found.cost_from) == (cost, source)
