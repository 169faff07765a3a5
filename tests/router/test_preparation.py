"""Contexts over their role's budget, and memories: what workers get, and that no task waits for it or is lost by it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from tests.router.hand import Hand, router, submit, view

from cca import codec
from cca.config import NatsSettings
from cca.contracts.agent import CompleteTasks, Completion, Reported
from cca.contracts.ledger import RolePolicy, TokenPolicies
from cca.contracts.memory import MemoryPolicies, MemoryPolicy, Recalled, RecallMemories
from cca.contracts.prepared import Recollection, TaskCondensed, TaskRecalled
from cca.contracts.task import Failure, RetryTask, SubmitTask, TaskView, Usage
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
from cca_router import decide, preparation
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
    decision = decide.submit(asked, ID, Facts(NOW, lambda role: []), TASK.initial, prepared=(CONDENSED,))
    assert [type(event).__name__ for event in decision.events] == ["TaskSubmitted", "TaskCondensed", "TaskHeld"]


def test_a_repeated_submission_adds_no_second_condensation() -> None:
    asked = SubmitTask("do it", role="docs", context=LONG)
    facts = Facts(NOW, lambda role: [])
    first = decide.submit(asked, ID, facts, TASK.initial, prepared=(CONDENSED,))
    given(TASK, *first.events).when(lambda task: decide.submit(asked, ID, facts, task, prepared=(CONDENSED,))).then()


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
    monkeypatch.setattr(preparation, "CONDENSE_S", 0.3)
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


async def test_a_submission_that_is_repeated_is_not_prepared_again(nats: NatsSettings, bus: Bus) -> None:
    asked: list[str] = []

    async def answer(command: CondenseContext, meta: Meta) -> Condensed:
        asked.append(command.task)
        return SHORT

    await token_service(bus, answer)
    await policies(bus, 1, backend=RolePolicy(max_tokens=100))
    async with router(nats):
        task = await submit(bus, context=LONG)
        assert await submit(bus, context=LONG, id=task) == task
    assert asked == [task]


# ------------------------------------------------------------------------------------------ memories

RECALLED = (Recollection("m1", 0.9), Recollection("m2", 0.4))
KNOWN = Recalled("What earlier tasks taught:\n- use uv", RECALLED, 12, 5, "minilm")


async def remembering(bus: Bus, version: int, **roles: MemoryPolicy) -> None:
    await bus.request(subjects.MEMORY_POLICIES, codec.encode(MemoryPolicies(version, roles)))


async def memory_service(bus: Bus, answer: Callable[[RecallMemories, Meta], Awaitable[Recalled]]) -> None:
    """Something in place of the context service, that answers as a test wants it."""
    service = Service(bus, "cca_context", "test")
    await service.serve(subjects.RPC_MEMORY_RECALL, RecallMemories, answer, Recalled)
    await service.start()
    await bus.flush()


@pytest.mark.covers("H16")
@pytest.mark.parametrize("context", [None, "look at setup.cfg"])
async def test_what_is_remembered_stands_before_the_context_that_workers_get(
    nats: NatsSettings, bus: Bus, context: str | None
) -> None:
    asked: list[RecallMemories] = []

    async def answer(command: RecallMemories, meta: Meta) -> Recalled:
        asked.append(command)
        return KNOWN

    await memory_service(bus, answer)
    await remembering(bus, 1, backend=MemoryPolicy())
    async with router(nats):
        hand = await Hand(bus, "backend", "w1", "default").join()
        task = await submit(bus, context=context, kind="fix", labels={"project": "shop"}, max_attempts=1)
        delivery, work = await hand.take()
        assert work.context == (KNOWN.text if context is None else f"{KNOWN.text}\n\n{context}")
        assert work.memories == ("m1", "m2")
        assert await hand.fail(delivery, await hand.claim(delivery, work), Failure("error", "no luck"))
        await bus.ask(subjects.RPC_RETRY, RetryTask(task), TaskView)
        _, again = await hand.take()
        assert (again.context, again.memories) == (work.context, work.memories)
    (one,) = asked
    assert (one.task, one.role, one.kind, one.labels) == (task, "backend", "fix", {"project": "shop"})
    log = await events(bus, task)
    assert [type(event).__name__ for event in log[:3]] == ["TaskSubmitted", "TaskRecalled", "TaskRouted"]
    assert log[1] == TaskRecalled(task, KNOWN.text, KNOWN.memories, 12, 5, "minilm")


@pytest.mark.parametrize("trouble", ["away", "refuses", "silent", "knows nothing"])
async def test_without_memories_the_task_goes_as_it_is(
    nats: NatsSettings, bus: Bus, trouble: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preparation, "RECALL_S", 0.3)
    await remembering(bus, 1, **{"*": MemoryPolicy()})

    async def answer(command: RecallMemories, meta: Meta) -> Recalled:
        if trouble == "refuses":
            raise Refused("too-hard", "not this one")
        if trouble == "silent":
            await asyncio.sleep(30)
        return Recalled()

    if trouble != "away":
        await memory_service(bus, answer)
    async with router(nats):
        hand = await Hand(bus, "backend", "w1", "default").join()
        task = await submit(bus, context="as it is")
        _, work = await hand.take()
        assert (work.context, work.memories) == ("as it is", ())
    assert not any(isinstance(event, TaskRecalled) for event in await events(bus, task))


async def test_only_roles_whose_policy_says_so_are_asked_about_and_both_questions_are_asked_at_once(
    nats: NatsSettings, bus: Bus
) -> None:
    asked: list[str] = []
    both = asyncio.Barrier(2)

    async def recall(command: RecallMemories, meta: Meta) -> Recalled:
        asked.append(command.role)
        await both.wait()
        return KNOWN

    async def condense(command: CondenseContext, meta: Meta) -> Condensed:
        await both.wait()
        return SHORT

    await memory_service(bus, recall)
    await token_service(bus, condense)
    await policies(bus, 1, docs=RolePolicy(max_tokens=100))
    await remembering(bus, 1, docs=MemoryPolicy(), backend=MemoryPolicy(inject=0))
    async with router(nats):
        await submit(bus)
        await submit(bus, role="other")
        task = await submit(bus, role="docs", context=LONG)
    assert asked == ["docs"]
    log = await events(bus, task)
    assert [type(event).__name__ for event in log[:3]] == ["TaskSubmitted", "TaskCondensed", "TaskRecalled"]


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
