"""What a task prints, over HTTP."""

import asyncio
from uuid import uuid4

import pytest
from tests.gateway.conftest import Api
from tests.gateway.test_tasks import ended


async def printed(api: Api, task: str, data: bytes, attempt: int = 1, stream: str = "stdout") -> None:
    await api.bus.request(f"cca.output.{task}", data, {"Cca-Attempt": str(attempt), "Cca-Stream": stream})


async def test_the_output_of_a_task_as_it_was_printed(busy: Api) -> None:
    task = await busy.submit(input={"print": "räum auf 🧹\n"})
    assert await ended(busy, task) == "completed"
    answer = await busy.get(f"/tasks/{task}/output")
    assert answer.status == 200
    assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.body.decode() == "räum auf 🧹\n"


async def test_a_task_that_prints_nothing_has_an_empty_output(api: Api) -> None:
    answer = await api.get(f"/tasks/{await api.submit()}/output")
    assert (answer.status, answer.body) == (200, b"")


async def test_the_output_is_narrowed_by_attempt_stream_and_position(api: Api) -> None:
    task = await api.submit()
    await printed(api, task, b"one ")
    await printed(api, task, b"oops", stream="stderr")
    await printed(api, task, b"\xff\xfe", attempt=2)
    assert (await api.get(f"/tasks/{task}/output")).body == b"one oops\xff\xfe"
    first = await api.get(f"/tasks/{task}/output?attempt=1&stream=stdout")
    assert first.body == b"one "
    assert (await api.get(f"/tasks/{task}/output?stream=stderr")).body == b"oops"
    await printed(api, task, b"more", attempt=2)
    later = await api.get(f"/tasks/{task}/output?after={first.headers['Cca-Next-After']}")
    assert later.body == b"more"


async def test_the_output_is_followed_until_the_task_is_over(busy: Api) -> None:
    task = await busy.submit(input={"print": "first\n", "sleep": 0.1})
    async with busy.stream(f"/tasks/{task}/output") as stream:
        events = await stream.rest()
    assert {event.event for event in events} == {"output"}
    assert [(event.data["text"], event.data["stream"], event.data["attempt"]) for event in events] == [
        ("first\n", "stdout", 1)
    ]


async def test_a_character_that_was_cut_in_two_comes_whole(api: Api) -> None:
    task = await api.submit()
    broom = "🧹".encode()
    await printed(api, task, b"a" + broom[:2])
    await printed(api, task, b"e", stream="stderr")
    await printed(api, task, broom[2:] + b"z\n\nid: 1")
    async with api.stream(f"/tasks/{task}/output") as stream:
        parts = [(await anext(stream)).data["text"] for _ in range(3)]
        assert parts == ["a", "e", "🧹z\n\nid: 1"]
        await api.post(f"/tasks/{task}/cancel")
        assert await stream.rest() == []


async def test_the_output_is_resumed(api: Api) -> None:
    task = await api.submit()
    for text in (b"1", b"2", b"3"):
        await printed(api, task, text)
    async with api.stream(f"/tasks/{task}/output") as stream:
        first = await anext(stream)
    async with api.stream(f"/tasks/{task}/output", after=first.id) as stream:
        assert [(await anext(stream)).data["text"] for _ in range(2)] == ["2", "3"]
        await printed(api, task, b"4")
        fourth = await anext(stream)
        assert fourth.data["text"] == "4"
    await api.post(f"/tasks/{task}/cancel")
    async with api.stream(f"/tasks/{task}/output", after=fourth.id) as stream:
        assert stream.status == 204


async def test_output_of_another_task_is_not_shown(api: Api) -> None:
    one, other = await api.submit(), await api.submit()
    await printed(api, other, b"secret")
    assert (await api.get(f"/tasks/{one}/output")).body == b""


@pytest.mark.parametrize("query", ["attempt=0", "attempt=x", "stream=stdin", "after=-1", "x=1"])
async def test_a_question_that_makes_no_sense_is_refused(api: Api, query: str) -> None:
    answer = await api.get(f"/tasks/{uuid4()}/output?{query}")
    assert (answer.status, answer.problem) == (422, "invalid")


async def test_many_follow_at_once(busy: Api) -> None:
    task = await busy.submit(input={"print": "x", "sleep": 0.2})

    async def follow() -> str:
        async with busy.stream(f"/tasks/{task}/output") as stream:
            return "".join([event.data["text"] for event in await stream.rest()])

    assert await asyncio.gather(*(follow() for _ in range(20))) == ["x"] * 20
    assert not busy.gateway.wakes.subjects
