"""Memories on real servers: stored without secrets, found again, counted, forgotten, and answered from the cache."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
from tests.service_context.memory_serving import Counted, Words, World, eventually, meta, serving

from cca.config import NatsSettings, PostgresSettings
from cca.contracts.memory import (
    ForgetMemory,
    MemoryForgotten,
    MemoryMerged,
    MemoryPolicy,
    MemoryRated,
    MemoryStored,
    Source,
    StoreMemory,
)
from cca.errors import Busy, Refused
from cca.memory.remote import Imported
from cca.nats import names, stored, subjects

NOWHERE = PostgresSettings(url="postgresql://cca@127.0.0.1:1/cca")
LONG = "When the payment service times out while the ledger is locked, retry with backoff and the same idempotency key"


@pytest.fixture
async def world(nats: NatsSettings, postgres: PostgresSettings) -> AsyncIterator[World]:
    async with serving(nats, postgres, embedder=Words()) as world:
        yield world


async def test_what_is_stored_is_found_by_id_in_lists_and_in_searches(world: World) -> None:
    created = datetime(2026, 1, 2, tzinfo=UTC)
    done = await world.memory.store(
        "Run the migrations before the tests.",
        kind="procedure",
        role="backend",
        scope="project:shop",
        labels={"area": "db"},
        source=Source(task="t1", agent="b-1", repo="shop"),
        successes=2,
        created_at=created,
    )
    assert done.created and done.redacted == {}
    view = await world.memory.get(done.memory)
    assert (view.text, view.kind, view.scope, view.role) == (
        *("Run the migrations before the tests.", "procedure", "project:shop"),
        "backend",
    )
    assert view.labels == {"area": "db"} and view.source.agent == "b-1" and view.created_at == created
    await world.caught_up()
    assert (await world.memory.list(role="backend")).items == (view,)
    assert (await world.memory.list(task="t1")).items == (view,) and not (await world.memory.list(task="t2")).items
    hits = await world.memory.search("tests fail: migrations", scope="project:shop", roles=("backend", ""))
    assert [hit.memory for hit in hits.items] == [view] and hits.mode == "hybrid" and hits.embedder == "words"
    assert not (await world.memory.search("migrations", roles=("",))).items
    assert not (await world.memory.search("migrations", kinds=("fact",))).items
    assert not (await world.memory.search("migrations", since=created + timedelta(days=1))).items
    stats = await world.memory.stats()
    assert (stats.memories, stats.by_kind, stats.by_role, stats.successes) == (1, {"procedure": 1}, {"backend": 1}, 2)


async def test_the_same_text_is_one_memory_and_an_id_means_one_text(world: World) -> None:
    stores = [world.memory.store("Same  text", source=Source(task=f"t{n % 3}")) for n in range(9)]
    done = await asyncio.gather(*stores)
    assert len({one.memory for one in done}) == 1 and sum(one.created for one in done) == 1
    kinds = [type(event) for event in await world.events()]
    assert kinds == [MemoryStored, MemoryMerged, MemoryMerged]
    assert (await world.memory.get(done[0].memory)).merged == 2
    named = await world.memory.store("one", id="mine")
    assert named.memory == "mine" and not (await world.memory.store("ONE", id="mine")).created
    with pytest.raises(Refused, match="another text"):
        await world.memory.store("two", id="mine")
    with pytest.raises(Refused, match="cannot be called"):
        await world.memory.store("two", id="policies")
    with pytest.raises(Refused, match="empty"):
        await world.memory.store(" \n")


async def test_what_says_nearly_the_same_is_merged_and_nothing_else_is(world: World) -> None:
    first = await world.memory.store(LONG, role="backend", source=Source(task="t1"))
    await world.caught_up()
    near = await world.memory.store(f"{LONG} again", role="backend", source=Source(task="t2"))
    assert near.memory == first.memory and not near.created and 0.95 <= near.similarity < 1
    again = await world.memory.store(f"{LONG} again", role="backend", source=Source(task="t2"))
    assert again.memory == first.memory and (await world.memory.get(first.memory)).merged == 1
    assert (await world.memory.store(f"{LONG} again", role="docs")).created
    assert (await world.memory.store(f"{LONG} again")).created
    assert (await world.memory.store(f"{LONG} again", role="backend", scope="project:x")).created
    assert (await world.memory.store(f"{LONG} again", role="backend", kind="failure")).created
    assert (await world.memory.store("Quite another thing", role="backend")).created


@pytest.mark.covers("H16")
async def test_secrets_never_reach_event_table_log_or_answer(world: World, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    secrets = [
        f"ghp_{'aB3dE6' * 6}",
        "hunter2-is-it",
        "AKIAIOSFODNN7EXAMPLE",
        "s3cr3t-in-url",
        "xoxb-1234567890-abcdef",
    ]
    text = f"push with {secrets[0]}, db password: {secrets[1]}"
    done = await world.memory.store(
        text,
        labels={"password": secrets[1], "note": secrets[2]},
        source=Source(repo=f"https://u:{secrets[3]}@example.com/x.git", requester=secrets[4]),
    )
    assert done.redacted == {"github-token": 1, "password": 1}
    view = await world.memory.rate(done.memory, "success", comment=f"with {secrets[2]}", requester=secrets[4])
    await world.memory.set_policy("backend", MemoryPolicy(), reason=f"key {secrets[0]}")
    await world.caught_up()
    hits = await world.memory.search("push with password", mode="lexical")
    assert hits.items[0].memory.redacted == done.redacted
    forgotten = await world.memory.store(f"to go: {secrets[0]}")
    await world.memory.forget(forgotten.memory, reason=f"it held {secrets[0]}")
    rows = await world.tables.rows("SELECT to_jsonb(m) AS row FROM cca.memories m")
    kept = b"".join((await world.whole_log(), repr((view, hits, rows)).encode(), caplog.text.encode()))
    for secret in secrets:
        assert secret.encode() not in kept
    assert b"[redacted:github-token]" in kept


async def test_a_memory_that_helped_rises_and_one_that_did_not_falls(world: World) -> None:
    one = (await world.memory.store("Restart the queue worker when jobs hang", id="one")).memory
    other = (await world.memory.store("Jobs hang: restart the queue worker", id="other", scope="project:b")).memory
    await world.caught_up()
    first, second = (hit.memory.memory for hit in (await world.memory.search("jobs hang in the queue worker")).items)
    assert {first, second} == {one, other}
    for number in range(4):
        await world.memory.rate(second, "success", task=f"t{number}")
        await world.memory.rate(first, "failure", task=f"t{number}")

    await world.caught_up()

    async def turned() -> bool:
        best = (await world.memory.search("jobs hang in the queue worker")).items[0]
        return best.memory.memory == second and best.memory.successes == 4

    await eventually(turned)
    hit, below = (await world.memory.search("jobs hang in the queue worker")).items
    assert hit.why.utility > 1 > below.why.utility and hit.memory.successes == 4 and below.memory.failures == 4
    assert hit.why.decay > 0.99


async def test_a_later_word_on_a_task_replaces_the_one_before(world: World) -> None:
    done = await world.memory.store("x y z")
    await world.memory.rate(done.memory, "success", task="t1")
    await world.memory.rate(done.memory, "success", task="t1")
    view = await world.memory.rate(done.memory, "failure", task="t1")
    assert (view.successes, view.failures) == (0, 1)
    assert [event for event in await world.events() if isinstance(event, MemoryRated)] == [
        MemoryRated(done.memory, "success", "t1"),
        MemoryRated(done.memory, "failure", "t1", was="success"),
    ]
    for wrong in ("nothing", "policies", "*", "a.b", ">"):
        with pytest.raises(Refused, match="no memory"):
            await world.memory.rate(wrong, "success")
        with pytest.raises(Refused, match="no memory"):
            await world.memory.get(wrong)


async def test_what_is_forgotten_is_gone_everywhere_and_comes_back_when_asked(world: World) -> None:
    done = await world.memory.store("It is like this")
    await world.caught_up()
    assert (await world.memory.search("like this")).items
    assert (await world.memory.forget(done.memory, "wrong", "ann")).text == "It is like this"
    with pytest.raises(Refused) as refused:
        await world.memory.get(done.memory)
    assert refused.value.code == "not-found"
    with pytest.raises(Refused, match="no memory"):
        await world.memory.forget(done.memory)
    assert MemoryForgotten(done.memory, "asked", "wrong", "ann") in await world.events()
    await world.caught_up()

    async def gone() -> bool:
        return not (await world.memory.search("like this")).items

    await eventually(gone)
    assert not (await world.memory.list()).items
    assert (await world.memory.store("It is like this")).created


async def test_pages_show_all_once_newest_first(world: World) -> None:
    for number in range(7):
        await world.memory.store(f"number {number}", id=f"m{number}")
    await world.caught_up()
    page, seen = await world.memory.list(limit=3), list[str]()
    while True:
        seen += [item.memory for item in page.items]
        if page.next is None:
            break
        page = await world.memory.list(limit=3, before=page.next)
    assert seen == [f"m{number}" for number in reversed(range(7))]
    with pytest.raises(Refused) as refused:
        await world.memory.list(before="what")
    assert refused.value.code == "bad-cursor"


async def test_an_export_can_be_imported_any_number_of_times(world: World) -> None:
    for number in range(30):
        await world.memory.store(f"memory number {number}", role="backend", successes=number, labels={"n": str(number)})
    await world.caught_up()
    exported = [view async for view in world.memory.export(limit=7)]
    assert len(exported) == 30
    assert await world.memory.import_(exported) == Imported(0, 30)
    for view in exported:
        await world.memory.forget(view.memory)
    assert await world.memory.import_(iter(exported)) == Imported(30, 0)
    await world.caught_up()
    back = [view async for view in world.memory.export()]
    assert sorted((v.text, v.successes, v.created_at, v.memory) for v in back) == sorted(
        (v.text, v.successes, v.created_at, v.memory) for v in exported
    )


@pytest.mark.covers("PERF-008")
async def test_a_search_asked_again_makes_no_sql_until_something_changes(world: World) -> None:
    done = await world.memory.store("The cache is cleared by events")
    await world.caught_up()
    assert isinstance(world.asked, Counted)

    async def cached() -> bool:
        return (await world.memory.search("cache events")).cached

    await eventually(cached)
    asked = world.asked.asked
    hits = await asyncio.gather(*(world.memory.search("cache events") for _ in range(20)))
    assert all(hit.cached for hit in hits) and hits[0].items[0].memory.memory == done.memory
    assert world.asked.asked == asked
    before = world.memories.answers.figures()["misses"]
    await world.memory.rate(done.memory, "success")
    assert not (await world.memory.search("cache events")).cached
    assert world.memories.answers.figures()["misses"] == before + 1


async def test_what_another_instance_changes_is_seen_here(
    world: World, nats: NatsSettings, postgres: PostgresSettings
) -> None:
    done = await world.memory.store("Two instances know the same")
    await world.caught_up()

    async def cached() -> bool:
        return (await world.memory.search("two instances")).cached

    await eventually(cached)
    async with serving(nats, postgres, start=False, project=False) as other:
        await other.memories.forget(ForgetMemory(done.memory), meta())

        async def gone() -> bool:
            return not (await world.memory.search("two instances")).items

        await eventually(gone)


async def test_without_an_embedder_it_says_that_words_alone_counted(
    nats: NatsSettings, postgres: PostgresSettings
) -> None:
    async with serving(nats, postgres) as world:
        await world.memory.store("Words alone")
        await world.caught_up()
        hits = await world.memory.search("words")
        assert hits.mode == "lexical" and hits.embedder is None and hits.note and hits.items
        assert (await world.memory.stats()).embedders[0].state == "lexical"


@pytest.mark.covers("H7")
async def test_without_postgresql_memories_are_stored_shown_and_rated_and_searches_say_what_is_wrong(
    nats: NatsSettings,
) -> None:
    async with serving(nats, NOWHERE, embedder=Words(), project=False, connected=False) as world:
        done = await world.memory.store("The log knows")
        assert (await world.memory.get(done.memory)).text == "The log knows"
        assert (await world.memory.rate(done.memory, "success")).successes == 1
        for asking in (world.memory.search("log"), world.memory.list(), world.memory.stats()):
            with pytest.raises(Busy):
                await asking


async def test_policies_are_where_routers_read_them(world: World) -> None:
    policy = MemoryPolicy(inject=2)
    assert (await world.memory.set_policy("backend", policy, "pilot", "ann")).roles == {"backend": policy}
    raw = await stored.last(world.bus, f"KV_{names.STATE}", subjects.MEMORY_POLICIES)
    assert raw is not None and json.loads(raw.body)["roles"] == {"backend": {"inject": 2}}
    assert (await world.memory.policies()).version == 1
    assert (await world.memory.set_policy("backend", None)).roles == {}
    assert (await world.memory.policies()).version == 2


async def test_more_than_the_policy_keeps_are_forgotten_the_least_useful_first(world: World) -> None:
    for number in range(6):
        await world.memory.store(f"memory number {number}", id=f"m{number}", role="backend")
    await world.memory.store("of another role", id="docs", role="docs")
    await world.memory.rate("m1", "success")
    for number in (2, 4):
        await world.memory.rate(f"m{number}", "failure")
    await world.memory.set_policy("backend", MemoryPolicy(cap=4))
    await world.caught_up()
    upkeep = world.memories._upkeep
    await upkeep.look()
    await upkeep.look()  # the tables may not show it yet: the same are chosen, and nothing happens
    gone = [event.memory for event in await world.events() if isinstance(event, MemoryForgotten)]
    assert sorted(gone) == ["m2", "m4"]
    await world.caught_up()
    assert await upkeep.look() == 0


async def test_stored_as_a_command_it_is_cleaned_before_its_id_is_made(world: World) -> None:
    one, other = f"token ghp_{'aB3dE6' * 6}", f"token ghp_{'Zx9Yw8' * 6}"
    first = await world.memories.store(StoreMemory(one), meta())
    assert first.memory == (await world.memories.store(StoreMemory(other), meta())).memory
