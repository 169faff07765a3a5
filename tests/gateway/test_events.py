"""The log over HTTP: pages, and server-sent events that can be resumed."""

import asyncio

import pytest
from tests.gateway.conftest import Api, EventStream, Sent
from tests.gateway.test_tasks import ended

LIFE = ["submitted", "routed", "started", "completed"]


def names(events: list[Sent]) -> list[str]:
    return [event.event.split(".")[2] for event in events]


async def done(api: Api) -> str:
    task = await api.submit()
    assert await ended(api, task) == "completed"
    return task


# ------------------------------------------------------------------------------------------ one task


async def test_the_history_of_a_task(busy: Api) -> None:
    task = await done(busy)
    page = (await busy.get(f"/tasks/{task}/events")).json
    assert [event["type"].split(".")[2] for event in page["items"]] == LIFE
    assert page["next"] is None
    first = page["items"][0]
    assert first["subject"] == f"cca.events.task.{task}"
    assert first["data"]["description"] == "work"
    assert first["id"] and first["causationid"] and first["correlationid"] and first["traceparent"]
    assert [event["seq"] for event in page["items"]] == sorted({event["seq"] for event in page["items"]})


async def test_a_part_of_the_history(busy: Api) -> None:
    task = await done(busy)
    every = (await busy.get(f"/tasks/{task}/events")).json["items"]
    page = (await busy.get(f"/tasks/{task}/events", params={"limit": 3})).json
    rest = (await busy.get(f"/tasks/{task}/events", params={"cursor": page["next"]})).json
    assert page["items"] + rest["items"] == every
    after = (await busy.get(f"/tasks/{task}/events", params={"after": every[1]["seq"]})).json
    assert after["items"] == every[2:]
    last = (await busy.get(f"/tasks/{task}/events", params={"after": every[-1]["seq"]})).json
    assert last == {"items": [], "next": None, "last": every[-1]["seq"]}
    some = (await busy.get(f"/tasks/{task}/events", params={"types": "cca.task.st*,cca.task.completed.v1"})).json
    assert [event["type"].split(".")[2] for event in some["items"]] == ["started", "completed"]


async def test_a_stream_ends_with_the_task(busy: Api) -> None:
    task = await busy.submit(input={"sleep": 0.05})
    async with busy.stream(f"/tasks/{task}/events") as stream:
        assert stream.status == 200
        assert stream.response.headers["Content-Type"] == "text/event-stream"
        events = await stream.rest()
    assert names(events) == LIFE
    assert events[-1].data["data"]["result"] == {"done": "work"}
    assert [event.id for event in events] == [event.data["seq"] for event in events]


async def test_a_stream_of_a_task_that_is_over_is_its_history(busy: Api) -> None:
    async with busy.stream(f"/tasks/{await done(busy)}/events") as stream:
        assert names(await stream.rest()) == LIFE


async def test_a_stream_is_resumed_where_it_broke_off(busy: Api) -> None:
    task = await busy.submit(input={"sleep": 0.2})
    seen = []
    async with busy.stream(f"/tasks/{task}/events") as stream:
        async for event in stream:
            seen.append(event)
            if len(seen) == 2:
                break
    while seen[-1].event != "cca.task.completed.v1":
        async with busy.stream(f"/tasks/{task}/events", after=seen[-1].id) as stream:
            seen.append(await anext(stream))
    assert names(seen) == LIFE


async def test_a_browser_that_has_seen_it_all_is_told_not_to_come_back(busy: Api) -> None:
    task = await done(busy)
    last = (await busy.get(f"/tasks/{task}/events")).json["last"]
    for position in (last, last + 1_000_000):
        async with busy.stream(f"/tasks/{task}/events", after=position) as stream:
            assert stream.status == 204


async def test_a_stream_goes_on_after_a_retry(busy: Api) -> None:
    task = await busy.submit(input={"fail": "x"}, max_attempts=1)
    assert await ended(busy, task) == "failed"
    last = (await busy.get(f"/tasks/{task}/events")).json["last"]
    await busy.post(f"/tasks/{task}/retry")
    async with busy.stream(f"/tasks/{task}/events", after=last) as stream:
        assert names(await stream.rest()) == ["retried", "routed", "started", "failed"]


async def test_many_watch_one_task_through_one_subscription(busy: Api) -> None:
    task = await busy.submit(input={"sleep": 0.3})

    async def watch() -> list[str]:
        async with busy.stream(f"/tasks/{task}/events") as stream:
            return names(await stream.rest())

    watching = [asyncio.create_task(watch()) for _ in range(30)]
    assert await asyncio.gather(*watching) == [LIFE] * 30
    assert not busy.gateway.wakes.subjects


@pytest.mark.parametrize("position", ["x", "-1", "1.5", "9" * 30, "１"])
async def test_a_position_that_is_none_is_refused(api: Api, position: str) -> None:
    task = await api.submit()
    headers = {"Accept": "text/event-stream", "Last-Event-ID": position}
    answer = await api.get(f"/tasks/{task}/events", headers=headers)
    assert (answer.status, answer.problem) == (400, "bad-header")


async def test_there_is_no_stream_of_an_unknown_task(api: Api) -> None:
    async with api.stream("/tasks/01890a5d-ac96-774b-bcce-b302099a8057/events") as stream:
        assert stream.status == 404
    assert not api.gateway.wakes.subjects


# ------------------------------------------------------------------------------------------ the log


async def test_the_log_is_paged_to_its_end(api: Api) -> None:
    tasks = [await api.submit() for _ in range(12)]
    found, cursor = [], "0"
    while cursor is not None:
        page = (await api.get("/events", params={"cursor": cursor, "limit": 5})).json
        assert len(page["items"]) <= 5
        found += page["items"]
        cursor = page["next"]
    assert [event["data"]["task"] for event in found if ".submitted." in event["type"]] == tasks
    assert len({event["seq"] for event in found}) == len(found) == 24


async def test_the_log_is_narrowed_by_subject_and_by_type(busy: Api) -> None:
    task, other = await done(busy), await done(busy)
    own = (await busy.get("/events", params={"subject": f"cca.events.task.{task}"})).json["items"]
    assert len(own) == 4
    agents = (await busy.get("/events", params={"subject": "cca.events.agent.>"})).json["items"]
    assert {event["type"] for event in agents} == {"cca.agent.joined.v1"}
    ends = (await busy.get("/events", params={"types": "cca.task.completed.v1"})).json["items"]
    assert [event["data"]["task"] for event in ends] == [task, other]


@pytest.mark.parametrize(
    "query",
    [
        "subject=cca.work.>",
        "subject=cca.events",
        "subject=$JS.API.>",
        "subject=cca.events..x",
        "subject=cca.events.>.x",
        "types=%27",
        "after=-1",
        "after=x",
        "limit=0",
        "limit=1001",
        "limit=1&limit=2",
        "nonsense=1",
        "subject=cca.events.a%00b",
    ],
)
async def test_a_question_that_makes_no_sense_is_refused(api: Api, query: str) -> None:
    answer = await api.get(f"/events?{query}")
    assert (answer.status, answer.problem) == (422, "invalid")


async def test_the_tail_begins_now(api: Api) -> None:
    await api.submit()
    async with api.stream("/events") as stream:
        task = await api.submit()
        event = await anext(stream)
        assert event.data["data"]["task"] == task
        assert names([event, await anext(stream)]) == ["submitted", "held"]


async def test_the_tail_is_resumed_without_a_gap_and_without_a_repetition(api: Api) -> None:
    await api.submit()
    seen: list[int] = []

    async def read(stream: EventStream, number: int) -> None:
        for _ in range(number):
            seen.append((await anext(stream)).id)

    async with api.stream("/events?after=0") as stream:
        await read(stream, 2)
    for _ in range(5):
        await api.submit()
    async with api.stream("/events", after=seen[-1]) as stream:
        await read(stream, 4)
    async with api.stream("/events", after=seen[-1]) as stream:
        await read(stream, 6)
    page = (await api.get("/events")).json
    assert seen == [event["seq"] for event in page["items"]]


async def test_the_tail_shows_only_what_was_asked_for(busy: Api) -> None:
    async with busy.stream("/events?types=cca.task.completed.v1&subject=cca.events.task.*") as stream:
        tasks = [await done(busy) for _ in range(3)]
        assert [(await anext(stream)).data["data"]["task"] for _ in range(3)] == tasks


async def test_a_client_that_reads_nothing_is_no_harm_to_the_others(api: Api) -> None:
    async with api.stream("/events?after=0") as slow:
        for _ in range(6):
            await api.post("/tasks/batch", [{"description": "x" * 9_000, "role": "r"}] * 100)
        async with api.stream("/events?after=0&types=cca.task.submitted.v1") as quick:
            seen = [(await anext(quick)).id for _ in range(600)]
        assert len(set(seen)) == 600
        late = [(await anext(slow)).id for _ in range(1_200)]
    assert late == sorted(set(late))


async def test_what_is_no_json_in_the_log_is_shown_all_the_same(api: Api) -> None:
    await api.bus.request("cca.events.note.1", b"\xff not json\n\nid: 7", {"ce-type": "x\u0085y"})
    (event,) = (await api.get("/events")).json["items"]
    assert event["data_base64"] == "/yBub3QganNvbgoKaWQ6IDc="
    async with api.stream("/events?after=0") as stream:
        assert (await anext(stream)).data == event
