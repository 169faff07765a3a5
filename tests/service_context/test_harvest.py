"""Tasks teach the memory: outcomes are remembered and counted, once each, over crashes, and by several at once."""

import logging
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.service_context.memory_serving import World, eventually, serving

from cca.config import NatsSettings, PostgresSettings
from cca.contracts.memory import (
    MemoryMerged,
    MemoryPolicy,
    MemoryRated,
    MemoryStored,
    Source,
)
from cca.contracts.prepared import Recollection, TaskRecalled
from cca.contracts.task import (
    Failure,
    TaskCompleted,
    TaskFailed,
    TaskRated,
    TaskRetried,
    TaskStarted,
    TaskSubmitted,
)
from cca.message import Event, Stream
from cca.nats import names, stored
from cca_context import harvest
from cca_context.harvest import NOTE, Open
from cca_context.lessons import ASKED, LEARNED, Tale, head, lesson, scope_of, tail
from cca_context.memories import Memories

SECRET = f"ghp_{'aB3dE6' * 6}"


def submitted(task: str, role: str = "backend", description: str = "Fix the tests", **more: Any) -> TaskSubmitted:
    return TaskSubmitted(task, role, description, "f", **more)


def completed(task: str, result: Any = "All is well", attempt: int = 1) -> TaskCompleted:
    return TaskCompleted(task, attempt, "b-1", result)


def failed(task: str, message: str = "it broke", detail: str = "") -> TaskFailed:
    return TaskFailed(task, 3, "b-1", Failure("error", message, detail=detail))


def recalled(task: str, *memories: str) -> TaskRecalled:
    return TaskRecalled(task, "text", tuple(Recollection(one, 0.5) for one in memories), 5, 1)


# ------------------------------------------------------------------------------------------ pure


def test_a_solution_says_what_was_asked_and_what_came_out() -> None:
    more: dict[str, Any] = {"labels": {"project": "shop", "repo": "shop.git"}, "kind": "fix", "requester": "ann"}
    learned = lesson(Tale.of([submitted("t", **more), completed("t", {"patch": "+1"})]))
    assert learned is not None
    assert learned.text == 'Task: Fix the tests\nResult: {"patch":"+1"}'
    assert (learned.kind, learned.scope, learned.role, learned.labels) == (
        *("solution", "project:shop", "backend"),
        {"kind": "fix"},
    )
    assert learned.source == Source("t", "b-1", "backend", "shop.git", "ann")


def test_a_failure_says_why_and_shows_the_end_of_what_was_printed() -> None:
    learned = lesson(Tale.of([submitted("t"), failed("t", "exit code 1", "first line\n" * 500 + "the last line")]))
    assert learned is not None and learned.kind == "failure" and learned.scope == "project:default"
    assert "Failure (error): exit code 1" in learned.text and learned.text.endswith("the last line")
    assert len(learned.text) < LEARNED + 100


def test_what_has_not_ended_teaches_nothing() -> None:
    for events in (
        [],
        [submitted("t")],
        [completed("t")],
        [recalled("t", "m"), TaskStarted("t", 1, 1, "b", "l", 1, 1)],
    ):
        assert lesson(Tale.of(events)) is None


@pytest.mark.parametrize(
    ("events", "outcome"),
    [
        ([submitted("t")], None),
        ([submitted("t"), completed("t")], "success"),
        ([submitted("t"), failed("t")], "failure"),
        ([submitted("t"), failed("t"), TaskRetried("t", 3), completed("t")], "success"),
        ([submitted("t"), completed("t"), TaskRated("t", 1, 0.2)], "failure"),
        ([submitted("t"), failed("t"), TaskRated("t", 1, 0.2), TaskRated("t", 1, 0.5)], "success"),
        ([submitted("t"), failed("t"), TaskRated("t", 1, 0.9), TaskRetried("t", 3), failed("t")], "failure"),
    ],
)
def test_the_outcome_is_the_last_word(events: list[Event], outcome: str | None) -> None:
    assert Tale.of(events).outcome == outcome


def test_only_names_make_a_scope() -> None:
    assert scope_of({"project": "shop"}) == "project:shop"
    for odd in ("", "a b", "a.b", "*", "x" * 101, "a\n"):
        assert scope_of({"project": odd}) == "project:default"


@settings(max_examples=200)
@given(st.text(max_size=3_000), st.integers(0, 3_000), st.text(max_size=3_000))
def test_no_secret_is_cut_in_two(before: str, most: int, after: str) -> None:
    text = f"{before} {SECRET} {after}"
    assert len(head(text, most + 3)) <= most + 3 and len(tail(text, most + 3)) <= most + 3
    for part in (head(text, most + 3), tail(text, most + 3)):
        assert "aB3dE6aB3dE6" not in part


def test_a_secret_at_the_end_of_what_is_looked_at_is_not_shown_in_part() -> None:
    for size in range(19_950, 20_010, 3):
        text = "x " * (size // 2) + SECRET + " and more" * 50
        assert "aB3dE6" not in head(text, 30_000) and "aB3dE6" not in tail(text[::-1], 500)[::-1]


def test_only_what_is_known_to_teach_nothing_is_passed_by() -> None:
    tasks = Open(most=2)
    tasks.note("a", False)
    tasks.note("b", False)
    assert not tasks.interesting("a") and tasks.interesting("unheard of")
    tasks.note("b", True)
    tasks.note("b", False)
    tasks.note("c", False)
    assert tasks.interesting("a") and tasks.interesting("b") and not tasks.interesting("c")


# ------------------------------------------------------------------------------------------ on a server


@pytest.fixture
async def world(nats: NatsSettings, postgres: PostgresSettings) -> AsyncIterator[World]:
    async with serving(nats, postgres) as world:
        yield world


async def run(world: World, task: str, *events: Event) -> None:
    await world.tell(Stream("task", task), *events)


async def harvested(world: World, tasks: int) -> None:
    async def all_of_them() -> bool:
        return world.memories._harvest.learned >= tasks

    await eventually(all_of_them)


async def heard(world: World) -> None:
    last = await stored.last(world.bus, names.EVENTS, harvest.TASKS)
    assert last is not None

    async def all_of_it() -> bool:
        return (world.memories._harvest._seq or 0) >= last.seq

    await eventually(all_of_it)


@pytest.mark.covers("H16")
async def test_finished_tasks_of_roles_with_a_policy_are_remembered(world: World) -> None:
    await world.memory.set_policy("backend", MemoryPolicy())
    await run(world, "t0", submitted("t0", "docs"), completed("t0"))
    await run(world, "t1", submitted("t1", description=f"Push with {SECRET}"), completed("t1", f"done: {SECRET}"))
    await run(world, "t2", submitted("t2"), failed("t2"))
    await harvested(world, 2)
    events = [event for event in await world.events() if isinstance(event, MemoryStored)]
    assert {(event.kind, event.source.task, event.role) for event in events} == {
        ("solution", "t1", "backend"),
        ("failure", "t2", "backend"),
    }
    told = b"".join([repr(event).encode() for event in events])
    assert SECRET.encode() not in told and b"[redacted:github-token]" in told
    assert next(event.redacted for event in events if event.source.task == "t1") == {"github-token": 2}


async def test_the_same_lesson_of_many_tasks_is_one_memory(world: World) -> None:
    await world.memory.set_policy("*", MemoryPolicy())
    for number in range(5):
        await run(world, f"t{number}", submitted(f"t{number}"), completed(f"t{number}"))
    await harvested(world, 5)
    kinds = [type(event) for event in await world.events() if not hasattr(event, "version")]
    assert kinds == [MemoryStored] + [MemoryMerged] * 4


@pytest.mark.covers("H16")
async def test_what_becomes_of_a_task_counts_for_or_against_what_it_was_given(world: World) -> None:
    await world.memory.set_policy("docs", MemoryPolicy())
    for memory in ("one", "two"):
        await world.memory.store(f"memory {memory}", id=memory)
    await run(world, "t1", submitted("t1"), recalled("t1", "one", "two", "gone", "a.b*"), completed("t1"))
    await run(world, "t2", submitted("t2"), recalled("t2", "two"), failed("t2"))
    await harvested(world, 2)
    counts = {memory: await world.memory.get(memory) for memory in ("one", "two")}
    assert [(view.successes, view.failures) for view in counts.values()] == [(1, 0), (1, 1)]
    await run(world, "t2", TaskRetried("t2", 3), completed("t2", attempt=4))
    await run(world, "t1", TaskRated("t1", 1, 0.1))
    await harvested(world, 4)
    counts = {memory: await world.memory.get(memory) for memory in ("one", "two")}
    assert [(view.successes, view.failures) for view in counts.values()] == [(0, 1), (1, 1)]
    assert (await world.events("two"))[-1] == MemoryRated("two", "failure", "t1", was="success")


async def test_tasks_that_ended_while_nobody_looked_are_learned_from(
    nats: NatsSettings, postgres: PostgresSettings
) -> None:
    async with serving(nats, postgres) as world:
        await world.memory.set_policy("backend", MemoryPolicy())
        await run(world, "t1", submitted("t1"), recalled("t1", "m"))
        await world.memory.store("m", id="m")
        await world.caught_up()
    async with serving(nats, postgres, start=False) as world:
        await run(world, "t1", completed("t1"))
        await run(world, "t2", submitted("t2", description="other"), completed("t2"))
    async with serving(nats, postgres) as world:
        await harvested(world, 2)
        stored_by = {e.source.task for e in await world.events() if isinstance(e, MemoryStored)}
        assert stored_by == {"t1", "t2", None}
        assert (await world.memory.get("m")).successes == 1


async def test_heard_again_from_the_beginning_everything_stays_as_it_is(
    nats: NatsSettings, postgres: PostgresSettings
) -> None:
    async with serving(nats, postgres) as world:
        await world.memory.set_policy("backend", MemoryPolicy())
        await world.memory.store("m", id="m")
        await run(world, "t1", submitted("t1"), recalled("t1", "m"), failed("t1"), TaskRetried("t1", 3))
        await run(world, "t1", completed("t1"), TaskRated("t1", 1, 0.0), TaskRated("t1", 1, 0.8))
        await run(world, "t2", submitted("t2"), completed("t2"))
        await heard(world)
    async with serving(nats, postgres, start=False) as world:
        before = await world.events()
        await world.bus.request(NOTE, b'{"seq":0}')
    async with serving(nats, postgres) as world:
        await heard(world)
        assert world.memories._harvest.learned == 2
        assert await world.events() == before


async def test_several_who_learn_the_same_count_it_once(nats: NatsSettings, postgres: PostgresSettings) -> None:
    async with serving(nats, postgres) as one, serving(nats, postgres, project=False) as other:
        await one.memory.set_policy("backend", MemoryPolicy())
        await one.memory.store("m", id="m")
        for number in range(20):
            task = f"t{number}"
            await run(one, task, submitted(task, description=f"number {number}"), recalled(task, "m"), completed(task))
        await harvested(one, 20)
        await harvested(other, 20)
        assert (await one.memory.get("m")).successes == 20
        kinds = [type(event) for event in await one.events() if isinstance(event, MemoryStored | MemoryMerged)]
        assert kinds == [MemoryStored] * 21


async def test_it_begins_with_the_first_policy_and_goes_on_where_it_was(
    nats: NatsSettings, postgres: PostgresSettings
) -> None:
    async with serving(nats, postgres, start=False) as world:
        await run(world, "before", submitted("before"), completed("before"))
        await world.memory.set_policy("backend", MemoryPolicy())
        await run(world, "after", submitted("after"), completed("after"))
    async with serving(nats, postgres) as world:
        await harvested(world, 1)
        assert [e.source.task for e in await world.events() if isinstance(e, MemoryStored)] == ["after"]
    async with serving(nats, postgres, start=False) as world:
        raw = await stored.last(world.bus, f"KV_{names.STATE}", NOTE)
        assert raw is not None
        last = await stored.last(world.bus, names.EVENTS, "cca.events.task.after")
        assert last is not None and msgspec.json.decode(raw.body)["seq"] >= last.seq
        await world.bus.request(NOTE, b'{"seq":99999999}')  # of another log
    async with serving(nats, postgres) as world:
        await run(world, "new", submitted("new", description="new"), completed("new"))
        await harvested(world, 1)


async def test_what_cannot_be_learned_from_is_passed_by_without_showing_it(
    nats: NatsSettings, postgres: PostgresSettings, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    learn = Memories._learn

    async def broken(self: Memories, tale: Tale) -> None:
        if tale.submitted is not None and tale.submitted.task == "bad":
            raise ValueError(SECRET)
        await learn(self, tale)

    monkeypatch.setattr(Memories, "_learn", broken)
    async with serving(nats, postgres) as world:
        await world.memory.set_policy("backend", MemoryPolicy())
        await run(world, "bad", submitted("bad"), completed("bad"))
        await run(world, "good", submitted("good"), completed("good"))
        await harvested(world, 1)
        assert [e.source.task for e in await world.events() if isinstance(e, MemoryStored)] == ["good"]
    assert "task bad" in caplog.text and SECRET not in caplog.text


async def test_tasks_of_other_roles_are_not_read_again(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    read = list[str]()
    scan = stored.scan

    def counted(bus: Any, stream: str, subject: str, *more: Any) -> Any:
        read.append(subject)
        return scan(bus, stream, subject, *more)

    monkeypatch.setattr(stored, "scan", counted)
    await world.memory.set_policy("backend", MemoryPolicy())
    for number in range(50):
        await run(world, f"d{number}", submitted(f"d{number}", "docs"), completed(f"d{number}"))
    await run(world, "b", submitted("b"), completed("b"))
    await harvested(world, 1)
    tasks = [subject for subject in read if subject.startswith("cca.events.task.") and "*" not in subject]
    assert tasks == ["cca.events.task.b"]


async def test_without_nats_it_waits_and_goes_on(world: World, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    await world.memory.set_policy("backend", MemoryPolicy())
    await run(world, "t0", submitted("t0"), completed("t0"))
    await harvested(world, 1)
    for listener in list(world.bus.reconnected):
        listener()  # as if the connection had been lost in between
    await run(world, "t1", submitted("t1"), completed("t1"))
    await harvested(world, 2)
    assert "going on from the last position" in caplog.text
    assert ASKED < LEARNED
