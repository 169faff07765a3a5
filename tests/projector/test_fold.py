"""The rows follow from the history alone: not from how it is cut into batches, nor from how often it is replayed."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cca.contracts.agent import AgentJoined, AgentLeft, AgentLost
from cca.contracts.ledger import RolePolicy, TokenPolicySet, TokensCompressed, TokensExpanded
from cca.contracts.policy import (
    Params,
    PolicyConfigured,
    PolicyUpdated,
    References,
    Reward,
    ShadowStarted,
    ShadowStopped,
    VocabularyGrown,
)
from cca.contracts.prepared import TaskCondensed
from cca.contracts.task import (
    Candidate,
    Failure,
    TaskAttemptFailed,
    TaskCanceled,
    TaskCompleted,
    TaskFailed,
    TaskHeld,
    TaskProgressed,
    TaskRated,
    TaskRejected,
    TaskRetried,
    TaskRouted,
    TaskStarted,
    TaskSubmitted,
    Usage,
)
from cca.message import Event
from cca.postgres.pool import Connection
from cca.projection import Entry, keep
from cca_projector.digest import Digest, digest
from cca_projector.projections import Tasks
from cca_router.state import TASK
from cca_router.views import view

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
TABLES = tuple(rows.table.name for rows in Tasks().rows)
Entries = Callable[[Sequence[Event]], list[Entry]]

small = st.integers(1, 3)
tasks = st.sampled_from(["t1", "t2", "t3"])
agents = st.sampled_from(["ann", "bob"])
texts = st.text(max_size=5)
seconds = st.floats(0, 9, allow_nan=False)
units = st.floats(0, 1)
failures = st.builds(
    Failure,
    kind=st.sampled_from(["error", "timeout", "lost"]),
    message=texts,
    exit_code=st.none() | st.integers(-(2**40), 2**40),
    detail=texts,
)
counts = st.integers(0, 9) | st.integers(0, 2**70)
models = st.none() | st.sampled_from(["claude-sonnet-4", "gpt-5"]) | texts
usages = st.none() | st.builds(
    Usage,
    counts,
    counts,
    st.floats(0, allow_nan=False, allow_infinity=False),
    models,
    *[counts] * 4,
    st.sampled_from([None, "reported", "table"]),
)
savings = st.dictionaries(st.sampled_from(["logs", "json", ""]), counts, max_size=2)
values = st.none() | st.dictionaries(texts, st.integers() | texts | st.floats(allow_nan=False), max_size=2)
times = st.none() | st.integers(0, 9).map(lambda s: NOON + timedelta(seconds=s))
candidates = st.lists(st.builds(Candidate, st.sampled_from("ab"), seconds, seconds), max_size=2).map(tuple)

submitted = st.builds(
    TaskSubmitted,
    task=tasks,
    role=st.sampled_from(["docs", "backend"]),
    description=st.text(min_size=1, max_size=5),
    fingerprint=st.just("f"),
    input=st.none() | st.dictionaries(texts, texts, max_size=1),
    labels=st.dictionaries(texts, texts, max_size=1),
    context=st.none() | st.sampled_from(["a b c", "\0"]) | texts,
    requester=st.none() | texts,
    kind=st.none() | texts,
    lane=st.none() | st.sampled_from("ab"),
    deadline_s=st.none() | seconds,
)
later: tuple[st.SearchStrategy[Event], ...] = (
    st.builds(TaskRejected, task=tasks, code=st.just("unreadable"), reason=texts),
    st.builds(TaskHeld, task=tasks, reason=texts),
    st.builds(
        TaskCondensed,
        task=tasks,
        context=texts,
        model=texts,
        before=counts,
        after=counts,
        saved=savings,
        refs=st.lists(texts, max_size=3).map(tuple),
        original=texts,
        version=counts,
        reached=st.booleans(),
        cuts=savings,
    ),
    st.builds(
        TaskRouted,
        task=tasks,
        route=small,
        role=st.just("docs"),
        lane=st.sampled_from("ab"),
        policy=st.just("p/1"),
        propensity=seconds,
        seed=st.integers(0, 2**63 - 1),
        candidates=candidates,
        version=st.integers(0, 2**63 - 1),
        x=st.dictionaries(texts, st.integers(-(2**40), 2**40), max_size=2),
    ),
    st.builds(
        TaskStarted,
        task=tasks,
        attempt=small,
        route=small,
        agent=agents,
        lane=st.sampled_from("ab"),
        work=small,
        delivery=small,
    ),
    st.builds(TaskProgressed, task=tasks, attempt=small, message=texts, fraction=st.none() | seconds),
    st.builds(TaskCompleted, task=tasks, attempt=small, agent=agents, result=values, usage=usages, duration_s=seconds),
    st.builds(
        TaskAttemptFailed,
        task=tasks,
        attempt=small,
        agent=agents,
        failure=failures,
        retry_at=times,
        duration_s=seconds,
        usage=usages,
    ),
    st.builds(TaskFailed, task=tasks, attempt=small, agent=agents, failure=failures, duration_s=seconds, usage=usages),
    st.builds(TaskCanceled, task=tasks, reason=texts, agent=st.none() | agents),
    st.builds(TaskRetried, task=tasks, attempts=small, reason=texts),
    st.builds(TaskRated, task=tasks, route=small, quality=units, comment=texts, requester=st.none() | texts),
)
of_agents: tuple[st.SearchStrategy[Event], ...] = (
    st.builds(AgentJoined, agents, st.just("docs"), st.sampled_from("ab"), small, st.sampled_from(["s1", "s2"])),
    st.builds(AgentLeft, agents, st.sampled_from(["s1", "s2"]), texts),
    st.builds(AgentLost, agents, st.sampled_from(["s1", "s2"]), seconds),
)
algorithms = st.sampled_from(["linear-pm", "static"])
rewards = st.builds(Reward, success=units, by_kind=st.dictionaries(texts, st.just(References(1.0)), max_size=1))
of_routing: tuple[st.SearchStrategy[Event], ...] = (
    st.builds(PolicyConfigured, st.just("routing"), algorithms, st.builds(Params, reward=rewards), texts, texts),
    st.builds(VocabularyGrown, st.just("routing"), st.lists(texts, max_size=2).map(tuple)),
    st.builds(PolicyUpdated, st.just("routing"), small, st.integers(0, 99), algorithms, st.just("d" * 64), small),
    st.builds(ShadowStarted, st.just("routing"), texts, small, st.booleans(), st.none() | texts),
    st.builds(ShadowStopped, st.just("routing"), texts),
)
of_tokens: tuple[st.SearchStrategy[Event], ...] = (
    st.builds(TokensCompressed, texts, texts, counts, counts, savings, savings, role=st.none() | texts),
    st.builds(TokensExpanded, texts, texts, counts, role=st.none() | texts, task=st.none() | tasks),
    st.builds(
        TokenPolicySet,
        version=counts,
        role=st.sampled_from(["docs", "*"]),
        policy=st.none() | st.builds(RolePolicy, max_tokens=small),
        reason=texts,
        requester=st.none() | texts,
    ),
)
# Histories that no router would write are among them: what is in the log has happened, and must not stop a table.
histories = st.lists(st.one_of(submitted, *later, *of_agents, *of_routing, *of_tokens), min_size=1, max_size=40)
with_database = settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


async def project(db: Connection, batches: Sequence[Sequence[Entry]], forgetful: bool = False) -> dict[str, Digest]:
    """Empty the tables, fold the batches, and say what is in the tables then."""
    await db.execute(f"TRUNCATE cca.projections, {', '.join(f'cca.{table}' for table in TABLES)}")
    keeper = await keep(Tasks(), db)
    assert keeper is not None
    for batch in batches:
        await keeper.apply(batch)
        assert keeper.at.error is None
        if forgetful:
            keeper.forget()
    return {table: await digest(db, f"cca.{table}") for table in TABLES}


@given(history=histories, data=st.data())
@with_database
async def test_any_split_into_batches_gives_the_same_rows(
    db: Connection, entries: Entries, history: list[Event], data: st.DataObject
) -> None:
    all_of_it = entries(history)
    whole = await project(db, [all_of_it])

    cuts = sorted(data.draw(st.sets(st.integers(0, len(history)))))
    batches = [all_of_it[start:end] for start, end in zip([0, *cuts], [*cuts, len(history)], strict=True)]

    assert await project(db, batches, forgetful=data.draw(st.booleans())) == whole


@given(history=histories)
@with_database
async def test_one_event_at_a_time_without_memory_gives_the_same_rows(
    db: Connection, entries: Entries, history: list[Event]
) -> None:
    all_of_it = entries(history)
    whole = await project(db, [all_of_it])

    assert await project(db, [[one] for one in all_of_it], forgetful=True) == whole


@given(history=histories, data=st.data())
@with_database
async def test_events_that_come_again_change_nothing(
    db: Connection, entries: Entries, history: list[Event], data: st.DataObject
) -> None:
    all_of_it = entries(history)
    whole = await project(db, [all_of_it])
    keeper = await keep(Tasks(), db)
    assert keeper is not None

    start = data.draw(st.integers(0, len(history)))
    await keeper.apply(all_of_it[start:])

    assert {table: await digest(db, f"cca.{table}") for table in TABLES} == whole


@given(first=submitted, rest=st.lists(st.one_of(*later), max_size=12))
@with_database
async def test_a_row_says_what_the_router_says(
    db: Connection, entries: Entries, first: TaskSubmitted, rest: list[Any]
) -> None:
    history = [first, *(msgspec.structs.replace(event, task=first.task) for event in rest)]
    await project(db, [entries(history)])

    row = await db.fetchrow("SELECT * FROM cca.tasks WHERE task = $1", first.task)

    state = TASK.over(TASK.initial, history)
    told = view(first.task, state)
    assert row is not None
    assert row["state"] == told.state
    assert row["role"] == told.role
    assert row["description"] == (told.description.replace("\0", "\ufffd"))
    assert row["lane"] == told.lane
    assert row["attempt"] == told.attempt
    assert row["agent"] == state.agent
    assert row["routes"] == state.route
    assert row["waiting"] == (told.waiting and told.waiting.replace("\0", "\ufffd"))
    assert row["retry_at"] == (None if state.over else told.retry_at)
    assert row["max_attempts"] == told.max_attempts
    assert (row["failure"] is None) == (told.failure is None)
    assert row["fraction"] == state.fraction
    assert (row["progress"] or "") == (told.progress or "").replace("\0", "\ufffd")
    assert row["quality"] == told.quality
    assert row["last_seq"] == len(history)
