"""What the tables say of tokens: what was spent and saved, added up, each event exactly once."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cca import codec
from cca.config import PostgresSettings
from cca.contracts.ledger import RolePolicy, TokenPolicySet, TokensCompressed, TokensExpanded
from cca.contracts.prepared import TaskCondensed
from cca.contracts.task import (
    Candidate,
    Failure,
    TaskAttemptFailed,
    TaskCanceled,
    TaskCompleted,
    TaskFailed,
    TaskRetried,
    TaskRouted,
    TaskStarted,
    TaskSubmitted,
    Usage,
)
from cca.message import Event
from cca.nats.bus import Bus
from cca.postgres.pool import Connection, close_pool, connect_pool
from cca.projection import Entry, Keeper, keep, positions
from cca.tokens.markers import ref_of
from cca_projector import shell
from cca_projector.projections import Tasks
from cca_projector.rebuild import rebuild
from cca_projector.tables import task, tokens
from cca_projector.verify import verify

Entries = Callable[[Sequence[Event]], list[Entry]]
Tell = Callable[..., Awaitable[int]]
Eventually = Callable[..., Awaitable[None]]

USAGE = Usage(100, 20, 0.25, "claude-sonnet-4", 300, 50, 200, 400, "table")
CONTEXT = "the same words " * 100
CONDENSED = TaskCondensed(
    "t1", "fewer words", "claude-sonnet-4", 400, 90, {"logs": 210, "json": 100}, ("a" * 20, "b" * 20), "c" * 20, 3,
    cuts={"logs": 3, "json": 1},
)  # fmt: skip


def attempt(task: str, number: int, lane: str = "a", agent: str = "ann", role: str = "docs") -> list[Event]:
    """A lane is chosen and a worker starts."""
    return [
        TaskRouted(task, number, role, lane, "weighted-random/1", 1.0, 7, (Candidate(lane, 1.0, 1.0),)),
        TaskStarted(task, number, number, agent, lane, number * 10, 1),
    ]


HISTORY: list[Event] = [
    TaskSubmitted("t1", "docs", "do it", "f" * 64, context=CONTEXT, kind="review", requester="eve"),
    CONDENSED,
    *attempt("t1", 1),
    TaskAttemptFailed("t1", 1, "ann", Failure("error", "no luck"), usage=USAGE),
    *attempt("t1", 2, lane="b", agent="bob"),
    TaskCompleted("t1", 2, "bob", usage=Usage(7, 3, 1.5, "gpt-5", cost_from="reported")),
]


@pytest.fixture
async def keeper(db: Connection) -> Keeper:
    kept = await keep(Tasks(), db)
    assert kept is not None
    return kept


async def told(db: Connection, query: str) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in await db.fetch(query)]


async def test_an_attempt_tells_its_model_and_caches(db: Connection, keeper: Keeper, entries: Entries) -> None:
    await keeper.apply(entries(HISTORY))
    assert await told(
        db,
        "SELECT model, cache_read_tokens, cache_write_tokens, peak_context_tokens, counted_tokens, cost_from, cost_usd"
        " FROM cca.attempts ORDER BY attempt",
    ) == [
        ("claude-sonnet-4", 300, 50, 200, 400, "table", 0.25),
        ("gpt-5", 0, 0, None, None, "reported", 1.5),
    ]
    sums = "SELECT input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, cost_usd FROM cca.tasks"
    assert await told(db, sums) == [(107, 23, 300, 50, 1.75)]


async def test_what_attempts_used_is_added_up(db: Connection, keeper: Keeper, entries: Entries) -> None:
    again = [*attempt("t2", 1), TaskCompleted("t2", 1, "ann", usage=USAGE)]
    first = TaskSubmitted("t2", "docs", "again", "f" * 64, kind="review", requester="eve")
    await keeper.apply(entries([*HISTORY, first, *again]))
    found = await db.fetch("SELECT * FROM cca.token_usage ORDER BY first_seq")
    rows = [{name: value for name, value in row.items() if value not in (0, "")} for row in found]
    assert [len(row.pop("key")) for row in rows] == [20, 20]
    assert [str(row.pop("day")) for row in rows] == ["2026-01-01"] * 2
    who = {"role": "docs", "requester": "eve", "kind": "review"}
    assert rows == [
        who
        | {"lane": "a", "agent": "ann", "model": "claude-sonnet-4", "first_seq": 5, "attempts": 2}
        | {"failed": 1, "failed_tokens": 470, "input_tokens": 200, "output_tokens": 40}
        | {"cache_read_tokens": 600, "cache_write_tokens": 100, "peak_context_tokens": 200, "resent_tokens": 500}
        | {"counted_tokens": 800, "counted_actual": 900}
        | {"cost_nanousd": 500_000_000, "estimated_nanousd": 500_000_000},
        who
        | {"lane": "b", "agent": "bob", "model": "gpt-5", "first_seq": 8, "attempts": 1}
        | {"input_tokens": 7, "output_tokens": 3, "cost_nanousd": 1_500_000_000},
    ]


async def test_an_attempt_without_usage_is_in_no_sum(db: Connection, keeper: Keeper, entries: Entries) -> None:
    submitted = TaskSubmitted("t1", "docs", "do it", "f" * 64)
    await keeper.apply(entries([submitted, *attempt("t1", 1), TaskCompleted("t1", 1, "ann")]))
    for table in ("token_usage", "token_savings", "task_contexts"):
        assert await db.fetchval(f"SELECT count(*) FROM cca.{table}") == 0
    assert await told(db, "SELECT cache_read_tokens FROM cca.tasks") == [(None,)]


async def test_a_condensed_context_is_told_and_the_task_goes_on_waiting(
    db: Connection, keeper: Keeper, entries: Entries
) -> None:
    history = entries(HISTORY)
    await keeper.apply(history[:1])
    await keeper.apply(history[1:2])
    assert await told(db, "SELECT state, waiting, last_seq FROM cca.tasks") == [("submitted", "a lane", 2)]
    context = await db.fetchrow("SELECT * FROM cca.task_contexts")
    assert context is not None
    assert str(context["submitted_at"]) < str(context["condensed_at"])
    assert tuple(context.values())[:3] == ("t1", ref_of(CONTEXT), len(CONTEXT))
    assert {name: context[name] for name in ("role", "model", "before_tokens", "after_tokens", "saved", "cuts")} == {
        "role": "docs",
        "model": "claude-sonnet-4",
        "before_tokens": 400,
        "after_tokens": 90,
        "saved": {"logs": 210, "json": 100},
        "cuts": 4,
    }
    assert (context["original"], context["version"], context["reached"]) == ("c" * 20, 3, True)


async def test_what_was_saved_and_wanted_back_is_added_up(db: Connection, keeper: Keeper, entries: Entries) -> None:
    missed = TaskCondensed(  # from before cuts were told by strategy
        "t2", "x", "claude-sonnet-4", 1000, 900, {"logs": 100}, ("d" * 20,), "e" * 20, 3, False, False
    )
    history: list[Event] = [
        *HISTORY[:2],
        TaskSubmitted("t2", "docs", "do it", "f" * 64, context="x"),
        missed,
        TokensCompressed("f" * 20, "gpt-5", 50, 20, {"json": 30}, {"json": 4, "table": 1, "": 9}, role="docs"),
        TokensExpanded("a" * 20, "logs", 210, "docs", "ann", "t1"),
        TokensExpanded("a" * 20, "logs", 210, "docs", "bob", "t1"),
        TokensExpanded("a" * 20, "logs", 210, "docs", "bob", "nobody knows this task"),
    ]
    await keeper.apply(entries(history))
    columns = "role, model, strategy, saved_tokens, retrieved, retrieved_tokens, texts, condensed, missed, cuts"
    query = f"SELECT {columns}, before_tokens, after_tokens FROM cca.token_savings ORDER BY model, strategy"
    assert await told(db, query) == [
        ("docs", "", "logs", 0, 3, 630, 0, 0, 0, 0, 0, 0),
        ("docs", "claude-sonnet-4", "", 0, 0, 0, 2, 2, 1, 1, 1400, 990),
        ("docs", "claude-sonnet-4", "json", 100, 0, 0, 0, 0, 0, 1, 0, 0),
        ("docs", "claude-sonnet-4", "logs", 310, 0, 0, 0, 0, 0, 3, 0, 0),
        ("docs", "gpt-5", "", 0, 0, 0, 1, 0, 0, 0, 50, 20),
        ("docs", "gpt-5", "json", 30, 0, 0, 0, 0, 0, 4, 0, 0),
        ("docs", "gpt-5", "table", 0, 0, 0, 0, 0, 0, 1, 0, 0),
    ]
    found = await told(db, "SELECT task, cuts, retrieved FROM cca.task_contexts ORDER BY task")
    assert found == [("t1", 4, 2), ("t2", 1, None)]


async def test_a_role_has_the_policy_that_was_set_last(db: Connection, keeper: Keeper, entries: Entries) -> None:
    history = entries(
        [
            TokenPolicySet(1, "docs", RolePolicy(8_000), "too much", "eve"),
            TokenPolicySet(2, "*", RolePolicy(20_000, level="strong")),
            TokenPolicySet(3, "docs", None, "not needed"),
        ]
    )
    await keeper.apply(history[:1])
    first = [("docs", {"max_tokens": 8_000}, 1, "too much", "eve")]
    query = "SELECT role, policy, version, reason, requester FROM cca.token_policies ORDER BY role"
    assert await told(db, query) == first
    await keeper.apply(history)
    assert await told(db, query) == [
        ("*", {"max_tokens": 20_000, "level": "strong"}, 2, "", None),
        ("docs", None, 3, "not needed", None),
    ]


async def test_absurd_numbers_stop_nothing(db: Connection, keeper: Keeper, entries: Entries) -> None:
    huge = Usage(2**80, 2**80, 1e308, "x" * 200, 2**80, 2**80, 2**80, 2**80, "table")
    wide = {"agent": "\U0001f680" * 200}
    submitted = TaskSubmitted("t1", "docs", "x", "f" * 64, kind="\U0001f680" * 200, requester="\U0001f681" * 200)
    history: list[Event] = [submitted]
    for number in (1, 2):
        history += [
            *attempt("t1", number, lane="l" * 63, **wide),
            TaskAttemptFailed("t1", number, wide["agent"], Failure("error", "x"), usage=huge),
        ]
    negative = {"logs": -(2**70)}
    cuts = {"logs": 2**70, "json": -(2**70)}
    history += [TokensCompressed("f" * 20, "m" * 100, -1, 2**70, negative, cuts, role="docs")] * 2
    history.append(TaskCondensed("t1", "x", "m" * 100, -1, 2**70, {}, (), "c" * 20, 1, cuts=cuts | {"": 2**70}))
    for one in entries(history):
        await keeper.apply([one])
    assert keeper.at.error is None
    biggest = 2**63 - 1
    assert await told(db, "SELECT input_tokens, cache_read_tokens, cost_usd FROM cca.tasks") == [
        (biggest, biggest, 1e9)
    ]
    columns = "attempts, input_tokens, failed_tokens, peak_context_tokens, counted_actual, cost_nanousd"
    assert await told(db, f"SELECT {columns} FROM cca.token_usage") == [(2, *[biggest] * 4, 2 * 10**18)]
    columns = "strategy, saved_tokens, cuts, before_tokens, after_tokens"
    assert await told(db, f"SELECT {columns} FROM cca.token_savings ORDER BY strategy") == [
        ("", 0, 0, 0, biggest),
        ("json", 0, 0, 0, 0),
        ("logs", 0, biggest, 0, 0),
    ]
    assert await told(db, "SELECT cuts FROM cca.task_contexts") == [(biggest,)]


# ------------------------------------------------------------------------------------------- properties

counts = st.integers(0, 1_000)
usages = st.none() | st.builds(
    Usage,
    counts,
    counts,
    st.integers(0, 1_000).map(lambda n: n / 64),
    st.sampled_from([None, "claude-sonnet-4", "gpt-5"]),
    counts,
    counts,
    counts,
    counts,
    st.sampled_from([None, "reported", "table"]),
)
outcomes = st.sampled_from(["completed", "retried", "failed", "lost", "vanished", "canceled"])


@st.composite
def lives(draw: st.DrawFn) -> list[Event]:
    """What a router would write of some tasks, all at the same time."""
    all_of_them: list[list[Event]] = []
    for id in ("t1", "t2", "t3"):
        role, kind = draw(st.sampled_from(["docs", "backend"])), draw(st.none() | st.sampled_from(["review", "fix"]))
        context = draw(st.none() | st.just(CONTEXT))
        events: list[Event] = [
            TaskSubmitted(id, role, "x", "f", context=context, kind=kind, requester=draw(st.sampled_from([None, "e"])))
        ]
        over = False
        for number in range(1, draw(st.integers(1, 4)) + 1):
            if over:
                events.append(TaskRetried(id, 3))
            agent = draw(st.sampled_from(["ann", "bob"]))
            events += attempt(id, number, draw(st.sampled_from("ab")), agent, role)
            outcome, usage = draw(outcomes), draw(usages)
            over = outcome in ("failed", "completed", "canceled")
            if outcome == "completed":
                events.append(TaskCompleted(id, number, agent, usage=usage))
                break
            if outcome == "canceled":
                events.append(TaskCanceled(id, agent=agent))
            elif outcome == "failed":
                events.append(TaskFailed(id, number, agent, Failure("error", "x"), usage=usage))
            elif outcome == "lost":
                events.append(TaskAttemptFailed(id, number, agent, Failure("lost", "x"), usage=usage))
            elif outcome == "retried":
                events.append(TaskAttemptFailed(id, number, agent, Failure("error", "x"), usage=usage))
        all_of_them.append(events)
    mixed: list[Event] = []
    while any(all_of_them):
        mixed.append(draw(st.sampled_from([one for one in all_of_them if one])).pop(0))
    return mixed


SUMS = """
SELECT (a.ended_at AT TIME ZONE 'UTC')::date AS day, t.role, a.lane, a.agent, coalesce(t.requester, ''),
    coalesce(a.model, ''), coalesce(t.kind, ''), count(*)::bigint,
    count(*) FILTER (WHERE a.outcome <> 'completed')::bigint,
    coalesce(sum(a.input_tokens + a.output_tokens + a.cache_read_tokens + a.cache_write_tokens)
        FILTER (WHERE a.outcome <> 'completed'), 0)::bigint,
    sum(a.input_tokens)::bigint, sum(a.output_tokens)::bigint, sum(a.cache_read_tokens)::bigint,
    sum(a.cache_write_tokens)::bigint, round(sum(a.cost_usd) * 1e9)::bigint,
    round(coalesce(sum(a.cost_usd) FILTER (WHERE a.cost_from = 'table'), 0) * 1e9)::bigint,
    coalesce(max(a.peak_context_tokens), 0)::bigint,
    coalesce(sum(greatest(a.input_tokens + a.cache_read_tokens + a.cache_write_tokens - a.peak_context_tokens, 0))
        FILTER (WHERE a.peak_context_tokens > 0), 0)::bigint,
    coalesce(sum(a.counted_tokens), 0)::bigint,
    coalesce(sum(a.input_tokens + a.cache_read_tokens + a.cache_write_tokens)
        FILTER (WHERE a.counted_tokens > 0), 0)::bigint
FROM cca.attempts a JOIN cca.tasks t USING (task) WHERE a.input_tokens IS NOT NULL
GROUP BY 1, 2, 3, 4, 5, 6, 7 ORDER BY 1, 2, 3, 4, 5, 6, 7
"""
ROLLUP = """
SELECT day, role, lane, agent, requester, model, kind, attempts, failed, failed_tokens, input_tokens, output_tokens,
    cache_read_tokens, cache_write_tokens, cost_nanousd, estimated_nanousd, peak_context_tokens, resent_tokens,
    counted_tokens, counted_actual
FROM cca.token_usage ORDER BY 1, 2, 3, 4, 5, 6, 7
"""


@given(history=lives(), data=st.data())
@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
async def test_the_sums_are_those_of_the_attempts(
    db: Connection, entries: Entries, history: list[Event], data: st.DataObject
) -> None:
    tables = ", ".join(f"cca.{rows.table.name}" for rows in Tasks().rows)
    await db.execute(f"TRUNCATE cca.projections, {tables}")
    keeper = await keep(Tasks(), db)
    assert keeper is not None
    all_of_it = entries(history)
    at = 0
    while at < len(all_of_it):  # in any portions, some of which come a second time
        end = data.draw(st.integers(at + 1, len(all_of_it)))
        await keeper.apply(all_of_it[data.draw(st.integers(0, at)) : end])
        if data.draw(st.booleans()):
            keeper.forget()
        at = end
    assert keeper.at.error is None
    assert await told(db, ROLLUP) == await told(db, SUMS)


async def test_what_fails_halfway_is_not_added_twice(db: Connection, keeper: Keeper, entries: Entries) -> None:
    history = entries(HISTORY)
    await keeper.apply(history[:4])
    await db.execute("ALTER TABLE cca.token_policies RENAME TO hidden")  # the last table that is written
    policy = entries([*HISTORY, TokenPolicySet(1, "docs", None)])
    with pytest.raises(Exception, match="token_policies"):
        await keeper.apply(policy)
    assert await db.fetchval("SELECT count(*) FROM cca.token_usage") == 0
    await db.execute("ALTER TABLE cca.hidden RENAME TO token_policies")
    await keeper.apply(policy)
    assert await told(db, ROLLUP) == await told(db, SUMS)


async def test_a_rebuild_gives_the_same_sums(
    bus: Bus, db: Connection, postgres: PostgresSettings, tell: Tell, eventually: Eventually
) -> None:
    more: list[Event] = [
        TokensCompressed("f" * 20, "gpt-5", 50, 20, {"json": 30}, {"json": 4}, role="docs"),
        TokensExpanded("a" * 20, "logs", 210, "docs", "ann", "t1"),
        TokenPolicySet(1, "docs", RolePolicy(8_000)),
        TokenPolicySet(2, "docs", RolePolicy(9_000)),
    ]
    last = await tell(*HISTORY, *more)
    running = asyncio.create_task(shell.Projector(postgres, bus).run())

    async def there() -> bool:
        return {one.seq for one in await positions(db)} == {last}

    await eventually(there)
    last = await tell(*attempt("t1", 3), TaskFailed("t1", 3, "ann", Failure("error", "x"), usage=USAGE), more[1])
    await eventually(there)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    proof = await verify(Tasks(), db, bus)
    assert proof.same, proof
    await db.execute("UPDATE cca.token_usage SET input_tokens = input_tokens + 1 WHERE lane = 'a'")
    proof = await verify(Tasks(), db, bus)
    assert [table.table for table in proof.tables if not table.same] == ["token_usage"]
    pool = await connect_pool(postgres, "rebuild", session={"statement_timeout": "0"})
    async with pool.acquire() as session:
        assert not (await rebuild(Tasks(), session, bus)).same
    await close_pool(pool)
    assert (await verify(Tasks(), db, bus)).same
    assert await told(db, ROLLUP) == await told(db, SUMS)


def test_every_event_about_tokens_is_projected() -> None:
    kinds = (TaskCondensed, TokensCompressed, TokensExpanded, TokenPolicySet)
    assert {codec.tag_of(kind) for kind in kinds} <= {codec.tag_of(kind) for kind in (*task.HANDLERS, *tokens.HANDLERS)}
