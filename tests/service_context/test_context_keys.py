"""Keys of shared context on a real server: log first, then the bucket; compare-and-set; limits; what it was before."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import nats as nats_py
import pytest
from nats.js.errors import KeyNotFoundError
from tests.service_context.context_serving import PROJECT, asking, events, serving

from cca.config import NatsSettings
from cca.context.remote import Contexts
from cca.contracts.context import INLINE, LARGEST, ContextDeleted, ContextSet
from cca.errors import Refused, Unreadable
from cca.nats import names, stored, subjects
from cca.nats.bus import Bus
from cca_context import contexts as module
from cca_context.contexts import Contexts as Service


@pytest.fixture
async def service(nats: NatsSettings) -> AsyncIterator[Service]:
    async with serving(nats) as service:
        yield service


@pytest.fixture
async def bus(nats: NatsSettings, service: Service) -> AsyncIterator[Bus]:
    async with asking(nats) as (_, bus):
        yield bus


@pytest.fixture
async def asked(nats: NatsSettings, service: Service) -> AsyncIterator[Contexts]:
    async with asking(nats) as (asked, _):
        yield asked


@pytest.mark.parametrize(
    "value",
    [
        None,
        0,
        1.5,
        "text with ü, 漢字 and \0",
        [],
        {"a": [1, {"b": None}], "type": "cca.context.set.v1"},
        2**63,
        "x" * INLINE,
        ["y" * 1000] * 100,
    ],
    ids=lambda value: repr(value)[:20],
)
async def test_what_is_set_is_what_is_got(asked: Contexts, bus: Bus, value: Any) -> None:
    done = await asked.set(PROJECT, "plan.next-step", value, requester="ann")
    got = await asked.get(PROJECT, "plan.next-step")
    assert done == got and got.value == value and type(got.value) is type(value)
    assert got.requester == "ann" and got.there and got.set_at is not None and got.expires_at is None
    (event,) = await events(bus)
    assert isinstance(event, ContextSet) and event.size == got.size
    assert (event.ref is None) == (got.size <= INLINE)
    if event.ref is None:
        assert event.value == value
    else:
        assert event.value is None and await stored.last(bus, names.CONTENTS, subjects.contents(event.ref))


async def test_the_same_again_is_no_change(asked: Contexts, bus: Bus) -> None:
    first = await asked.set(PROJECT, "n", 1)
    assert await asked.set(PROJECT, "n", 1, requester="bob") == first
    other = await asked.set(PROJECT, "n", 1.0)
    assert other.revision > first.revision
    assert [event.value for event in await events(bus) if isinstance(event, ContextSet)] == [1, 1.0]


async def test_a_change_expects_what_it_was_made_from(asked: Contexts) -> None:
    with pytest.raises(Refused, match="there is no such key") as refusal:
        await asked.set(PROJECT, "n", 0, expect=7)
    assert refusal.value.code == "revision-mismatch"
    first = await asked.set(PROJECT, "n", 1, expect=0)
    with pytest.raises(Refused, match=f"expected no such key, and it is at revision {first.revision}"):
        await asked.set(PROJECT, "n", 2, expect=0)
    second = await asked.set(PROJECT, "n", 2, expect=first.revision)
    with pytest.raises(Refused, match="revision"):
        await asked.delete(PROJECT, "n", expect=first.revision)
    gone = await asked.delete(PROJECT, "n", expect=second.revision)
    assert not gone.there and gone.revision > second.revision
    with pytest.raises(Refused, match="revision"):
        await asked.set(PROJECT, "n", 3, expect=gone.revision)
    assert (await asked.set(PROJECT, "n", 3, expect=0)).revision > gone.revision


async def test_of_many_who_expect_the_same_one_wins(nats: NatsSettings, asked: Contexts, bus: Bus) -> None:
    async with serving(nats):  # a second instance, which takes every other question

        async def add() -> bool:
            entry = await asked.get(PROJECT, "count")
            try:
                await asked.set(PROJECT, "count", entry.value + 1, expect=entry.revision)
            except Refused as refusal:
                assert refusal.code == "revision-mismatch"
                return False
            return True

        await asked.set(PROJECT, "count", 0)
        done = sum([sum(await asyncio.gather(*(add() for _ in range(10)))) for _ in range(5)])
        assert done >= 5 and (await asked.get(PROJECT, "count")).value == done
        assert len(await events(bus)) == done + 1


async def test_of_many_changes_by_two_instances_the_last_in_the_log_is_what_is_read(
    nats: NatsSettings, asked: Contexts, bus: Bus
) -> None:
    async with serving(nats) as other:
        done = await asyncio.gather(*(asked.set(PROJECT, "n", number) for number in range(60)))
        told = [event.value for event in await events(bus) if isinstance(event, ContextSet)]
        assert sorted(told) == list(range(60)) and len({entry.revision for entry in done}) == 60
        last = await asked.get(PROJECT, "n")
        assert last.value == told[-1] and last.revision == max(entry.revision for entry in done)
        assert (await other.keys.newest("project.shop.n")).revision == last.revision


async def test_what_was_removed_is_gone_for_everybody(nats: NatsSettings, asked: Contexts, bus: Bus) -> None:
    await asked.set(PROJECT, "plan", "x")
    connection = await nats_py.connect(nats.url, user=nats.user, password=nats.password)
    try:
        bucket = await connection.jetstream().key_value(names.CONTEXT)
        assert b'"value":"x"' in ((await bucket.get("project.shop.plan")).value or b"")
        await asked.delete(PROJECT, "plan", requester="bob")
        with pytest.raises(KeyNotFoundError):
            await bucket.get("project.shop.plan")
    finally:
        await connection.close()
    with pytest.raises(Refused) as refusal:
        await asked.get(PROJECT, "plan")
    assert refusal.value.code == "not-found"
    assert await asked.value(PROJECT, "plan", "nothing") == "nothing"
    again = await asked.delete(PROJECT, "plan")
    assert not again.there and not (await asked.delete(PROJECT, "never")).there
    assert (await events(bus))[1:] == [ContextDeleted(PROJECT, "plan", "bob")]
    assert (await asked.set(PROJECT, "plan", "y")).revision > again.revision
    assert await asked.value(PROJECT, "plan") == "y"


async def test_a_scope_is_listed_by_name_and_by_prefix(asked: Contexts) -> None:
    for key in ("files.b", "files.a", "plan", "filed", "files.deep.er", "gone"):
        await asked.set(PROJECT, key, key)
    await asked.set("project:shop2", "plan", 1)
    await asked.set(PROJECT, "large", "x" * (INLINE + 1))
    await asked.delete(PROJECT, "gone")
    items = await asked.list(PROJECT)
    assert [entry.key for entry in items] == ["filed", "files.a", "files.b", "files.deep.er", "large", "plan"]
    assert all(entry.value is None and entry.there and entry.size for entry in items)
    for prefix, keys in {
        "files.": ["files.a", "files.b", "files.deep.er"],
        "file": ["filed", "files.a", "files.b", "files.deep.er"],
        "files.d": ["files.deep.er"],
        "files.deep.": ["files.deep.er"],
        "z": [],
    }.items():
        found = await asked.list(PROJECT, prefix, values=True)
        assert [entry.key for entry in found] == [entry.value for entry in found] == keys
    (large,) = await asked.list(PROJECT, "l", values=True)
    assert large.value is None and large.ref is not None
    assert await asked.list("project:nobody") == ()


async def test_a_list_is_whole_while_others_write(asked: Contexts) -> None:
    await asyncio.gather(*(asked.set(PROJECT, f"k{number}", 0) for number in range(300)))

    async def write() -> None:
        for turn in range(1, 4):
            for number in range(0, 300, 3):
                await asked.set(PROJECT, f"k{number}", turn)

    writing = asyncio.create_task(write())
    looks = 0
    while not writing.done():
        assert len(await asked.list(PROJECT)) == 300
        looks += 1
    await writing
    assert looks > 3


async def test_what_a_key_held_is_told_newest_first(asked: Contexts) -> None:
    for number in range(5):
        await asked.set(PROJECT, "n", number, requester=f"r{number}")
    await asked.delete(PROJECT, "n", requester="bob")
    history = await asked.history(PROJECT, "n", 4)
    assert [(change.what, change.value, change.requester) for change in history.items] == [
        ("deleted", None, "bob"),
        ("set", 4, "r4"),
        ("set", 3, "r3"),
        ("set", 2, "r2"),
    ]
    assert (await asked.history(PROJECT, "never")).items == ()
    assert len((await asked.history(PROJECT, "n")).items) == 6


async def test_a_history_that_is_too_large_for_one_message_has_the_newest(asked: Contexts) -> None:
    for number in range(80):
        await asked.set(PROJECT, "n", [number, "x" * 60_000])
    items = (await asked.history(PROJECT, "n", 1_000)).items
    assert 50 < len(items) < 80 and [change.value[0] for change in items] == list(range(79, 79 - len(items), -1))


async def test_what_is_too_much_is_refused(asked: Contexts, monkeypatch: pytest.MonkeyPatch) -> None:
    deep: Any = 1
    for _ in range(250):
        deep = [deep]
    with pytest.raises(Refused) as refusal:
        await asked.set(PROJECT, "n", deep)
    assert refusal.value.code == "too-deep"
    with pytest.raises(Refused) as refusal:
        await asked.set(PROJECT, "n", "x" * (LARGEST - 1))
    assert refusal.value.code == "too-large"
    assert (await asked.set(PROJECT, "n", "x" * (LARGEST - 2))).size == LARGEST
    assert len((await asked.get(PROJECT, "n")).value) == LARGEST - 2
    monkeypatch.setattr(module, "KEYS", 3)
    for key in ("a", "b"):
        await asked.set(PROJECT, key, 1)
    with pytest.raises(Refused) as refusal:
        await asked.set(PROJECT, "c", 1)
    assert refusal.value.code == "too-many"
    await asked.set(PROJECT, "a", 2)
    await asked.delete(PROJECT, "b")
    await asked.set(PROJECT, "c", 1)
    with pytest.raises(Unreadable):
        await asked.set("project:a.b", "n", 1)
    with pytest.raises(Unreadable):
        await asked.set(PROJECT, "a..b", 1)
    with pytest.raises(Unreadable):
        await asked.set(PROJECT, "n\n", 1)


async def test_values_that_are_too_many_for_one_message_are_not_listed_with_them(asked: Contexts) -> None:
    for number in range(70):
        await asked.set(PROJECT, f"n{number}", "x" * 64_000)
    with pytest.raises(Refused, match="ask for fewer") as refusal:
        await asked.list(PROJECT, values=True)
    assert refusal.value.code == "too-large"
    assert len(await asked.list(PROJECT)) == 70 and len(await asked.list(PROJECT, "n1", values=True)) == 11


async def test_what_others_put_into_the_bucket_is_no_value(asked: Contexts, bus: Bus) -> None:
    first = await asked.set(PROJECT, "plan", 1)
    for body in (b"{", b"\xff", b'{"revision": 999, "there": true, "value": 2}'):
        await bus.request(subjects.context("project.shop.plan"), body)
        assert await asked.get(PROJECT, "plan") == first  # by the log
        assert await asked.list(PROJECT) == ()
        assert await asked.set(PROJECT, "plan", 1) == first
        assert [entry.revision for entry in await asked.list(PROJECT)] == [first.revision]
