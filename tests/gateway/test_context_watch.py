"""A scope of shared context as a stream: what is there first, then each change, and nothing is missed."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.gateway.conftest import Api, EventStream, Sent

from cca import codec
from cca.contracts.context import ContextDeleted, ContextExpired, ContextSet
from cca.ids import uuid7
from cca.message import Event
from cca_gateway import context_watch

SCOPE = "project:web"
FAR = datetime(2100, 1, 1, tzinfo=UTC)


async def log(api: Api, event: ContextSet | ContextDeleted | ContextExpired) -> int:
    """Commit an event as the context service does, and announce it; its revision."""
    name = f"{event.scope.replace(':', '.')}.{event.key}"
    headers = {"ce-type": codec.tag_of(type(event)), "ce-id": uuid7(), "ce-time": "2026-01-01T00:00:00Z"}
    body = codec.encode(event)
    ack = await api.bus.nc.jetstream().publish(f"cca.events.context.{name}", body, headers=headers)
    api.bus.publish(f"cca.live.context.{name}", body)
    return ack.seq


async def put(api: Api, key: str, value: Any = 1, scope: str = SCOPE, **more: Any) -> int:
    return await log(api, ContextSet(scope, key, value, size=1, **more))


async def some(stream: EventStream, count: int) -> list[Sent]:
    async with asyncio.timeout(10):
        return [await anext(stream) for _ in range(count)]


def told(sent: list[Sent]) -> list[tuple[str, str, int]]:
    assert all(one.id == one.data["revision"] for one in sent)
    return [(one.event, one.data["key"], one.id) for one in sent]


async def test_what_is_there_comes_first_and_then_each_change(api: Api) -> None:
    await put(api, "plan", "old")
    first = await put(api, "files.a", {"x": [1]}, expires_at=FAR, requester="ann")
    await put(api, "gone")
    await log(api, ContextDeleted(SCOPE, "gone"))
    await put(api, "late", expires_at=datetime.now(UTC) - timedelta(seconds=1))
    await put(api, "plan", 1, scope="project:other")
    second = await put(api, "plan", "new")
    async with api.stream(f"/context/{SCOPE}") as stream:
        there = await some(stream, 2)
        assert told(there) == [("set", "files.a", first), ("set", "plan", second)]
        assert there[0].data == {
            "type": "cca.context.entry.v1",
            "scope": SCOPE,
            "key": "files.a",
            "revision": first,
            "value": {"x": [1]},
            "size": 1,
            "set_at": "2026-01-01T00:00:00Z",
            "expires_at": "2100-01-01T00:00:00Z",
            "requester": "ann",
        }
        third = await put(api, "plan", ref="a" * 20, value=None)
        fourth = await log(api, ContextDeleted(SCOPE, "plan", "ann"))
        fifth = await log(api, ContextExpired(SCOPE, "late", FAR))
        changes = await some(stream, 3)
        assert told(changes) == [("set", "plan", third), ("deleted", "plan", fourth), ("expired", "late", fifth)]
        assert changes[0].data["ref"] == "a" * 20
        assert [one.data.get("there", True) for one in changes] == [True, False, False]


async def test_only_what_begins_so_is_told(api: Api) -> None:
    for key in ("files.ab", "files.b", "filesystem", "files", "plan"):
        await put(api, key)
    for prefix, keys in (
        ("files.a", ["files.ab"]),
        ("files.", ["files.ab", "files.b"]),
        ("files", ["files.ab", "files.b", "filesystem", "files"]),
        ("p", ["plan"]),
    ):
        async with api.stream(f"/context/{SCOPE}?prefix={prefix}") as stream:
            assert sorted(one.data["key"] for one in await some(stream, len(keys))) == sorted(keys)
            await put(api, "elsewhere")
            await put(api, keys[0], prefix)
            assert [one.data["value"] for one in await some(stream, 1)] == [prefix]


async def test_values_can_be_left_out(api: Api) -> None:
    await put(api, "plan", "secret")
    async with api.stream(f"/context/{SCOPE}?values=false") as stream:
        await put(api, "plan", "secret")
        assert ["value" in one.data for one in await some(stream, 2)] == [False, False]


async def test_who_comes_back_misses_nothing(api: Api) -> None:
    revisions = [await put(api, f"k{number}") for number in range(5)]
    async with api.stream(f"/context/{SCOPE}") as stream:
        last = (await some(stream, 3))[-1]  # and here the connection breaks
    deleted = await log(api, ContextDeleted(SCOPE, "k0"))
    async with api.stream(f"/context/{SCOPE}", after=last.id) as stream:
        assert told(await some(stream, 3)) == [
            ("set", "k3", revisions[3]),
            ("set", "k4", revisions[4]),
            ("deleted", "k0", deleted),
        ]
    async with api.stream(f"/context/{SCOPE}?after={revisions[4]}") as stream:
        assert told(await some(stream, 1)) == [("deleted", "k0", deleted)]
    async with api.stream(f"/context/{SCOPE}", after=10**15) as stream:  # beyond the end: from now on
        revision = await put(api, "new")
        assert told(await some(stream, 1)) == [("set", "new", revision)]


async def test_writes_while_a_stream_begins_are_told_once_or_as_what_is_there(api: Api) -> None:
    """However reader and writers fall together, the last that is told of each key is what it holds."""
    keys = [f"k{number}" for number in range(10)]

    async def write() -> dict[str, int]:
        found = {}
        for turn in range(5):
            for key in keys:
                found[key] = await put(api, key, turn)
        return found

    async def watch(pause: float) -> dict[str, Sent]:
        await asyncio.sleep(pause)
        found: dict[str, Sent] = {}
        async with api.stream(f"/context/{SCOPE}") as stream, asyncio.timeout(20):
            async for one in stream:
                assert one.id > max((other.id for other in found.values()), default=0)
                found[one.data["key"]] = one
                if len(found) == len(keys) and all(other.data["value"] == 4 for other in found.values()):
                    break
        return found

    watching = [asyncio.create_task(watch(number / 100)) for number in range(5)]
    written = await write()
    for found in await asyncio.gather(*watching):
        assert {key: one.id for key, one in found.items()} == written


async def test_a_scope_that_had_very_many_keys_is_read_whole(api: Api) -> None:
    jetstream = api.bus.nc.jetstream()
    body = codec.encode(ContextDeleted(SCOPE, "x"))
    headers = {"ce-type": codec.tag_of(ContextDeleted), "ce-id": "x", "ce-time": "2026-01-01T00:00:00Z"}
    revision = await put(api, "plan", "there")
    for start in range(0, 1_100, 100):
        await asyncio.gather(
            *(
                jetstream.publish(f"cca.events.context.project.web.k{number}", body, headers=headers)
                for number in range(start, start + 100)
            )
        )
    async with api.stream(f"/context/{SCOPE}") as stream:
        assert told(await some(stream, 1)) == [("set", "plan", revision)]


async def test_what_a_newer_version_wrote_is_passed_over(api: Api) -> None:
    class ContextPainted(Event, frozen=True, tag="cca.context.painted.v9"):
        scope: str

    headers = {"ce-type": "cca.context.painted.v9", "ce-id": "x", "ce-time": "2026-01-01T00:00:00Z"}
    body = codec.encode(ContextPainted(SCOPE))
    subject = "cca.events.context.project.web.painted"
    await api.bus.nc.jetstream().publish(subject, body, headers=headers)
    async with api.stream(f"/context/{SCOPE}") as stream:
        await api.bus.nc.jetstream().publish(subject, body, headers=headers)
        revision = await put(api, "plan")
        assert told(await some(stream, 1)) == [("set", "plan", revision)]


async def test_streams_share_what_they_listen_to_and_leave_nothing_behind(api: Api) -> None:
    async with api.stream(f"/context/{SCOPE}") as one, api.stream(f"/context/{SCOPE}?prefix=p") as other:
        assert (one.status, other.status) == (200, 200)
        assert api.gateway.wakes.subjects == {"cca.live.context.project.web.>"}
        await put(api, "plan")
        assert told(await some(one, 1)) == told(await some(other, 1))
    async with asyncio.timeout(5):
        while api.gateway.wakes.subjects or api.gateway.streams:
            await asyncio.sleep(0.01)


async def test_a_position_that_is_none_is_refused(api: Api) -> None:
    headers = {"Accept": "text/event-stream", "Last-Event-ID": "x"}
    assert (await api.get(f"/context/{SCOPE}", headers=headers)).problem == "bad-header"
    assert (await api.get("/context/web", headers={"Accept": "text/event-stream"})).problem == "invalid"


@pytest.mark.parametrize(
    ("prefix", "subject"),
    [("", "project.web.>"), ("a", "project.web.>"), ("a.", "project.web.a.>"), ("a.b.c", "project.web.a.b.>")],
)
def test_no_more_of_the_log_is_read_than_needed(prefix: str, subject: str) -> None:
    assert context_watch.where(SCOPE, prefix) == subject
