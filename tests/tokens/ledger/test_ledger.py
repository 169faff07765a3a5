"""What was spent and saved, asked of real tables; and what is recommended from them."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from itertools import chain, combinations
from typing import Any, get_args

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.tokens.ledger.conftest import NOON, Project, begun

from cca import codec
from cca.config import PostgresSettings
from cca.contracts.ledger import (
    Dimension,
    GetRecommendations,
    GetTokenMetrics,
    RolePolicy,
    Spending,
    TokenMetrics,
    TokenPolicySet,
    TokensCompressed,
    TokensExpanded,
)
from cca.contracts.prepared import TaskCondensed
from cca.contracts.task import Failure, TaskAttemptFailed, TaskCompleted, TaskFailed, Usage
from cca.errors import Busy, Refused
from cca.message import Event
from cca.postgres.pool import Connection
from cca.postgres.tables import Tables, connect
from cca_tokens.ledger import EMPTY, Ledger

SONNET = Usage(100, 20, 0.25, "claude-sonnet-4", 300, 50, 200, 400, "table")
GPT = Usage(7, 3, 1.5, "gpt-5", cost_from="reported")
CONTEXT = "the same words " * 1_000
DAY = timedelta(days=1)


def condensed(task: str, before: int = 4_000, after: int = 900, reached: bool = True) -> TaskCondensed:
    saved = {"logs": before - after - 100, "json": 100}
    return TaskCondensed(
        task, "x", "claude-sonnet-4", before, after, saved, ("a" * 20, "b" * 20), "c" * 20, 1, False, reached,
        {"logs": 2, "json": 1},
    )  # fmt: skip


def failed_once(task: str, usage: Usage = SONNET, **asked: Any) -> list[Event]:
    """A task that fails in lane a and is done in lane b."""
    first, *rest = begun(task, 1, "a", "ann", **asked)
    return [
        first,
        *([condensed(task)] if asked.get("context") else []),
        *rest,
        TaskAttemptFailed(task, 1, "ann", Failure("error", "x"), usage=usage),
        *begun(task, 2, "b", "bob"),
        TaskCompleted(task, 2, "bob", usage=GPT),
    ]


@pytest.fixture
def ledger(tables: Tables) -> Ledger:
    return Ledger(tables, now=lambda: NOON)


async def rows(ledger: Ledger, *by: Dimension, **only: Any) -> list[tuple[Any, ...]]:
    found = await ledger.metrics(GetTokenMetrics(by=by, **only))
    return [(*(row.key[name] for name in by), row.attempts, row.input) for row in found.rows]


async def test_with_nothing_spent_there_are_no_rows(ledger: Ledger) -> None:
    assert await ledger.metrics(GetTokenMetrics()) == TokenMetrics((), EMPTY)
    assert await ledger.metrics(GetTokenMetrics(by=("role", "day"), since_s=5)) == TokenMetrics((), EMPTY)
    assert Spending({}) == EMPTY
    found = await ledger.recommend(GetRecommendations())
    assert (found.recommendations, found.attempts, found.tokens, found.cost_usd) == ((), 0, 0, 0.0)
    assert await ledger.ratios() == {}


async def test_the_total_says_all_that_was_spent_and_saved(project: Project, ledger: Ledger) -> None:
    await project([*failed_once("t1", context=CONTEXT), TokensExpanded("a" * 20, "logs", 50, "backend", "ann", "t1")])
    found = await ledger.metrics(GetTokenMetrics())
    assert found.rows == (found.total,)
    assert found.total == Spending(
        key={},
        attempts=2,
        failed=1,
        failed_tokens=470,
        input=107,
        output=23,
        cache_read=300,
        cache_write=50,
        cost_usd=1.75,
        estimated_usd=0.25,
        peak=200,
        condensed=1,
        saved={"json": 100, "logs": 3_000},
        cuts=3,
        retrieved=1,
        ratio=450 / 400,
    )
    assert codec.read(codec.encode(found), TokenMetrics) == found


async def test_what_was_spent_is_told_by_each_dimension(project: Project, ledger: Ledger) -> None:
    await project(failed_once("t1", requester="eve", kind="review"), DAY)
    await project(failed_once("t2", role="docs"))
    assert await rows(ledger, "lane") == [("a", 2, 200), ("b", 2, 14)]
    assert await rows(ledger, "agent", "model") == [("ann", "claude-sonnet-4", 2, 200), ("bob", "gpt-5", 2, 14)]
    assert await rows(ledger, "role") == [("backend", 3, 114), ("docs", 1, 100)]  # the second try was of backend
    assert await rows(ledger, "requester") == [("", 2, 107), ("eve", 2, 107)]
    assert await rows(ledger, "day") == [("2026-01-09", 2, 107), ("2026-01-10", 2, 107)]
    assert await rows(ledger, "task", "kind") == [("t1", "review", 2, 107), ("t2", "", 2, 107)]
    assert await rows(ledger, "task", model="gpt-5") == [("t1", 1, 7), ("t2", 1, 7)]
    assert await rows(ledger, "lane", task="t1", agent="ann") == [("a", 1, 100)]
    assert await rows(ledger, "lane", limit=1) == [("a", 2, 200)]
    assert (await ledger.metrics(GetTokenMetrics(by=("lane",), limit=1))).total.input == 214
    assert await rows(ledger, requester="nobody") == []


async def test_only_what_ended_since_then_counts(project: Project, ledger: Ledger) -> None:
    for number, age in enumerate((1, 11, 13, 30, 40, 80)):
        await project(failed_once(f"t{number}"), timedelta(hours=age))
    for hours, attempts in ((0.5, 0), (2, 2), (12, 4), (12.5, 4), (14, 6), (36, 8), (40, 10), (10**9, 12)):
        since_s = hours * 3_600
        assert (await ledger.metrics(GetTokenMetrics(since_s=since_s))).total.attempts == attempts, hours
        by_task = await ledger.metrics(GetTokenMetrics(by=("task",), since_s=since_s))
        assert sum(row.attempts for row in by_task.rows) == attempts


async def test_savings_are_told_by_role_and_by_task(project: Project, ledger: Ledger) -> None:
    compressed = TokensCompressed("f" * 20, "gpt-5", 50, 20, {"json": 30}, {"json": 4}, "safe", "docs", "ann", "t1")
    await project([*failed_once("t1", context=CONTEXT, requester="eve"), compressed])
    found = await ledger.metrics(GetTokenMetrics(by=("role",)))
    told = [(row.key["role"], row.condensed, row.saved, row.cuts) for row in found.rows]
    assert told == [("backend", 1, {"json": 100, "logs": 3_000}, 3), ("docs", 0, {"json": 30}, 4)]
    assert found.total.saved == {"json": 130, "logs": 3_000}
    assert (found.total.condensed, found.total.cuts) == (1, 7)
    (by_task,) = (await ledger.metrics(GetTokenMetrics(by=("task", "requester"), since_s=3_600))).rows
    assert (by_task.key, by_task.condensed, by_task.saved, by_task.cuts) == (
        {"task": "t1", "requester": "eve"},
        1,
        {"json": 100, "logs": 3_000},
        3,
    )
    assert (await ledger.metrics(GetTokenMetrics(by=("task",), since_s=30))).rows == ()
    assert (await ledger.metrics(GetTokenMetrics(role="docs"))).total.saved == {"json": 30}


async def test_the_sums_are_the_same_by_any_dimensions_and_from_either_source(project: Project, ledger: Ledger) -> None:
    for number in range(4):
        usage = msgspec.structs.replace(SONNET, model=f"m{number % 2}")
        await project(failed_once(f"t{number}", usage, requester=f"r{number}", context=CONTEXT), DAY * (number % 3))
    names: tuple[Dimension, ...] = get_args(Dimension)
    every = await ledger.metrics(GetTokenMetrics())
    for by in chain(*(combinations(names, size) for size in range(1, 5))):
        for since_s in (None, 10 * 86_400.0, 10 * 86_400.0 - 1):
            found = await ledger.metrics(GetTokenMetrics(by=by, since_s=since_s))
            assert found.total == every.total
            assert sum(row.input for row in found.rows) == every.total.input
            assert sum(sum(row.saved.values()) for row in found.rows) == sum(every.total.saved.values())
            assert all(tuple(row.key) == by for row in found.rows)


nasty = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20) | st.sampled_from(
    ["'; DROP TABLE cca.tasks; --", "$1", "{by}", "%s", "\\", "' OR '1'='1"]
)


@given(texts=st.lists(nasty, min_size=5, max_size=5), by=st.sets(st.sampled_from(get_args(Dimension)), max_size=4))
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_what_is_asked_for_is_never_part_of_a_statement(ledger: Ledger, texts: list[str], by: set[Any]) -> None:
    role, agent, task, requester, model = texts
    asked = GetTokenMetrics(tuple(sorted(by)), 5.0, role, agent, task, requester, model)
    assert (await ledger.metrics(asked)).total == EMPTY
    assert (await ledger.recommend(GetRecommendations(role))).recommendations == ()


async def test_huge_sums_are_told_as_far_as_a_number_goes(project: Project, ledger: Ledger) -> None:
    huge = Usage(2**70, 2**70, 1e300, "m", 2**70, 2**70, 2**70, 2**70, "table")
    for number in range(3):
        await project(failed_once(f"t{number}", huge))
    for by in ((), ("role",), ("task",)):
        found = await ledger.metrics(GetTokenMetrics(by=by, since_s=3_600 if by else None))
        assert codec.read(codec.encode(found), TokenMetrics) == found
        assert found.total.input == 2**63 - 1
    found_advice = await ledger.recommend(GetRecommendations())
    assert found_advice.tokens == 2**63 - 1
    codec.encode(found_advice)


async def test_counted_and_billed_tokens_are_told_by_model(project: Project, ledger: Ledger) -> None:
    await project([*failed_once("t1"), *failed_once("t2")])
    await project(failed_once("t3"), 40 * DAY)
    assert await ledger.ratios() == {"claude-sonnet-4": (800, 900)}


# ------------------------------------------------------------------------------------------- recommendations


def working(count: int, usage: Usage, lane: str = "a", failed: int = 0, prefix: str = "t", **asked: Any) -> list[Event]:
    events: list[Event] = []
    for number in range(count):
        task = f"{prefix}{number}"
        events += begun(task, lane=lane, **asked)
        if number < failed:
            events.append(TaskFailed(task, 1, "ann", Failure("error", "x"), usage=usage))
        else:
            events.append(TaskCompleted(task, 1, "ann", usage=usage))
    return events


async def test_a_sample_of_the_contexts_says_what_compression_would_save(project: Project, tables: Tables) -> None:
    await project(working(25, Usage(5_000, 100, 0.02, "m"), context=CONTEXT))
    asked: list[Sequence[str]] = []

    async def potential(texts: Sequence[str]) -> float:
        asked.append(texts)
        return 0.5

    found = await Ledger(tables, potential, lambda: NOON).recommend(GetRecommendations())
    assert asked == [[CONTEXT] * 8]
    first, second = found.recommendations
    assert (second.code, second.saves_tokens) == ("compress-context", 25 * 3_750 // 2)
    assert second.evidence == {"tasks": 25, "mean_tokens": 3_750, "potential": 0.5, "sampled": 8}
    assert (first.code, first.saves_tokens) == ("share-context", 24 * 3_750 * 9 // 10)
    assert (found.attempts, found.tokens, round(found.cost_usd, 9)) == (25, 25 * 5_100, 0.5)
    await project([TokenPolicySet(1, "backend", RolePolicy(2_000))])
    again = await Ledger(tables, potential, lambda: NOON).recommend(GetRecommendations(role="backend"))
    assert [one.code for one in again.recommendations] == ["share-context"]
    await project([TokenPolicySet(2, "backend", None)])
    assert len((await Ledger(tables, potential, lambda: NOON).recommend(GetRecommendations())).recommendations) == 2
    assert (await Ledger(tables, potential, lambda: NOON).recommend(GetRecommendations("docs"))).recommendations == ()


async def test_a_potential_that_cannot_be_found_out_is_left_out(project: Project, tables: Tables) -> None:
    await project(working(25, Usage(5_000, 100), context=CONTEXT))

    async def potential(texts: Sequence[str]) -> float:
        raise Refused("too-large", "too much")

    for one in (potential, None):
        found = await Ledger(tables, one, lambda: NOON).recommend(GetRecommendations())
        assert [each.code for each in found.recommendations] == ["share-context"]


async def test_every_sort_of_advice_follows_from_what_happened(project: Project, ledger: Ledger) -> None:
    dear = Usage(9_000, 1_000, 1.0, "claude-opus-4", peak_context_tokens=190_000)
    cheap = Usage(9_000, 1_000, 0.1, "claude-haiku-4")
    events = working(60, dear, "opus", failed=15, prefix="a", kind="review")
    events += working(60, cheap, "haiku", failed=1, prefix="b", kind="review")
    events += working(60, Usage(50_000, 100, 0.1, "gpt-5", peak_context_tokens=10_000), role="docs", prefix="c")
    for number in range(25):
        first, *_ = begun(f"d{number}", role="ops", context=f"{number} {CONTEXT}")
        events += [first, condensed(f"d{number}", after=3_000, reached=number % 2 == 0)]
    events += [TokensExpanded("a" * 20, "logs", 100, "ops") for _ in range(30)]
    events.append(TokenPolicySet(1, "ops", RolePolicy(2_000)))
    await project(events)
    found = await ledger.recommend(GetRecommendations())
    assert [(one.code, one.subject, one.severity) for one in found.recommendations] == [
        ("cache-prefix", "role:docs", "high"),
        ("cheaper-model", "model:claude-opus-4", "high"),
        ("failed-attempts", "lane:backend/opus", "medium"),
        ("tighten-level", "role:ops", "low"),
        ("loosen-policy", "role:ops", "low"),
        ("peak-context", "role:backend", "medium"),
    ]
    saves = [one.saves_tokens for one in found.recommendations]
    assert saves == [60 * 40_000 * 9 // 10, 142_372, 60_000, 12_000, 6_000, 0]
    old = await Ledger(ledger._tables, now=lambda: NOON + 8 * DAY).recommend(GetRecommendations())
    assert old.recommendations == ()


# ------------------------------------------------------------------------------------------- outages


async def test_without_tables_it_says_that_it_is_busy(postgres: PostgresSettings) -> None:
    nowhere = PostgresSettings(url="postgresql://cca@127.0.0.1:1/cca")
    for where, text in ((nowhere, "down"), (postgres, "not there yet")):
        async with connect(where, "cca_tokens") as tables:
            ledger = Ledger(tables)
            await asyncio.sleep(0.3)
            for asked in (ledger.metrics(GetTokenMetrics()), ledger.recommend(GetRecommendations()), ledger.ratios()):
                with pytest.raises(Busy, match=text):
                    await asked


async def test_a_question_that_takes_too_long_is_given_up(
    project: Project, db: Connection, postgres: PostgresSettings
) -> None:
    await project(failed_once("t1"))
    hasty = PostgresSettings(url=postgres.url, password=postgres.password, statement_timeout_s=0.2)
    async with connect(hasty, "cca_tokens") as tables, db.transaction():
        await db.execute("LOCK TABLE cca.token_usage IN ACCESS EXCLUSIVE MODE")
        await asyncio.sleep(0.3)
        with pytest.raises(Busy):
            await Ledger(tables).metrics(GetTokenMetrics())
