"""Showing, canceling and retrying one task over HTTP."""

from uuid import uuid4

import pytest
from tests.gateway.conftest import Api, eventually

UNKNOWN = "01890a5d-ac96-774b-bcce-b302099a8057"


async def ended(api: Api, task: str) -> str:
    answer = await api.get(f"/tasks/{task}", headers={"Prefer": "wait=20"})
    assert answer.headers["Preference-Applied"] == "wait=20"
    return str(answer.json["state"])


async def test_an_unknown_task_is_not_found(api: Api) -> None:
    for method, what in (("GET", ""), ("GET", "/events"), ("GET", "/output"), ("POST", "/cancel"), ("POST", "/retry")):
        answer = await api.request(method, f"/api/v1/tasks/{UNKNOWN}{what}")
        assert (answer.status, answer.problem) == (404, "not-found"), what
    assert (await api.post(f"/tasks/{UNKNOWN}/feedback", {"quality": 1})).problem == "not-found"


@pytest.mark.covers("STAB-013")
@pytest.mark.parametrize(
    "bad", ["x", "1", "..", "%2e%2e", "01890a5d", UNKNOWN + "0", "a%00b", "%ff", "'; drop table tasks", "*", ">", "%20"]
)
async def test_a_bad_id_is_one_error_on_every_route(api: Api, bad: str) -> None:
    for method, what in (
        ("GET", ""),
        ("GET", "/events"),
        ("GET", "/output"),
        ("GET", "/explain"),
        ("POST", "/cancel"),
        ("POST", "/retry"),
        ("POST", "/feedback"),
    ):
        path = f"/api/v1/tasks/{bad.replace(' ', '%20')}{what}"
        answer = await api.raw(method, path)
        assert (answer.status, answer.problem) == (422, "bad-id"), what


async def test_an_id_is_known_in_every_spelling(api: Api) -> None:
    task = str(uuid4())
    await api.submit(id=task.upper())
    for spelling in (task, task.upper(), task.replace("-", "")):
        assert (await api.get(f"/tasks/{spelling}")).json["task"] == task


async def test_waiting_for_a_task_ends_when_it_does(busy: Api) -> None:
    task = await busy.submit(input={"sleep": 0.05})
    assert await ended(busy, task) == "completed"


async def test_a_queued_task_is_canceled(api: Api) -> None:
    task = await api.submit()
    answer = await api.post(f"/tasks/{task}/cancel", {"reason": "not needed", "requester": "ann"})
    assert answer.status == 200
    assert (answer.json["state"], answer.json["reason"]) == ("canceled", "not needed")
    again = await api.post(f"/tasks/{task}/cancel")
    assert (again.status, again.json["state"]) == (200, "canceled")


async def test_a_running_task_is_canceled(busy: Api) -> None:
    task = await busy.submit(input={"sleep": 60})

    async def working() -> bool:
        return bool((await busy.get(f"/tasks/{task}")).json["state"] == "working")

    await eventually(working)
    assert (await busy.post(f"/tasks/{task}/cancel")).json["state"] == "canceled"
    assert await ended(busy, await busy.submit()) == "completed"  # the worker is free again


async def test_a_task_that_is_over_cannot_be_canceled(busy: Api) -> None:
    task = await busy.submit()
    assert await ended(busy, task) == "completed"
    answer = await busy.post(f"/tasks/{task}/cancel")
    assert (answer.status, answer.problem) == (409, "already-over")
    assert answer.json["task"] == task


async def test_a_failed_task_is_tried_again(busy: Api) -> None:
    task = await busy.submit(input={"fail": "x"}, max_attempts=1)
    assert await ended(busy, task) == "failed"
    answer = await busy.post(f"/tasks/{task}/retry", {"reason": "once more"})
    assert answer.status == 202
    assert answer.headers["Location"] == f"/api/v1/tasks/{task}"
    assert await ended(busy, task) == "failed"
    assert (await busy.get(f"/tasks/{task}")).json["attempt"] == 2


async def test_a_completed_task_is_not_tried_again(busy: Api) -> None:
    task = await busy.submit()
    assert await ended(busy, task) == "completed"
    answer = await busy.post(f"/tasks/{task}/retry")
    assert (answer.status, answer.problem) == (409, "already-over")


async def test_a_result_is_rated_and_rated_again(full: Api) -> None:
    task = await full.submit()
    assert await ended(full, task) == "completed"
    first = await full.post(f"/tasks/{task}/feedback", {"quality": 0.25, "comment": "sloppy"})
    assert (first.status, first.json["state"], first.json["quality"]) == (200, "completed", 0.25)
    again = await full.post(f"/tasks/{task}/feedback", {"quality": 0.75, "requester": "ann"})
    assert (again.status, again.json["quality"]) == (200, 0.75)
    assert (await full.get(f"/tasks/{task}")).json["quality"] == 0.75
    said = [event["data"] for event in (await full.get(f"/tasks/{task}/events?types=cca.task.rated.v1")).json["items"]]
    assert [(event["quality"], event.get("comment"), event["requester"]) for event in said[-2:]] == [
        (0.25, "sloppy", "admin"),
        (0.75, None, "ann"),
    ]

    async def listed() -> bool:
        return [one.get("quality") for one in (await full.get("/tasks")).json["items"]] == [0.75]

    await eventually(listed)


async def test_a_stream_of_a_rated_task_ends_as_it_did_before(busy: Api) -> None:
    task = await busy.submit()
    assert await ended(busy, task) == "completed"
    assert (await busy.post(f"/tasks/{task}/feedback", {"quality": 1})).status == 200
    async with busy.stream(f"/tasks/{task}/events") as stream:
        assert [event.event for event in await stream.rest()][-2:] == ["cca.task.completed.v1", "cca.task.rated.v1"]
    async with busy.stream(f"/tasks/{task}/output") as stream:
        assert await stream.rest() == []


async def test_what_is_not_over_is_not_rated(api: Api) -> None:
    task = await api.submit()
    answer = await api.post(f"/tasks/{task}/feedback", {"quality": 1})
    assert (answer.status, answer.problem) == (409, "not-over")


@pytest.mark.parametrize("body", [{}, {"quality": 1.1}, {"quality": -1}, {"quality": "good"}, {"quality": 1, "x": 1}])
async def test_a_rating_follows_its_rules(api: Api, body: object) -> None:
    answer = await api.post(f"/tasks/{UNKNOWN}/feedback", body)
    assert (answer.status, answer.problem) == (422, "invalid")


@pytest.mark.parametrize("body", [{"reason": "x" * 2_001}, {"reason": 1}, {"why": "x"}, {"reason": "a\x00b"}, []])
async def test_a_reason_follows_its_rules(api: Api, body: object) -> None:
    task = await api.submit()
    answer = await api.post(f"/tasks/{task}/cancel", body)
    assert (answer.status, answer.problem) == (422, "invalid")
    assert (await api.get(f"/tasks/{task}")).json["state"] == "submitted"


async def test_the_tables_add_attempts_and_times(full: Api) -> None:
    task = await full.submit(input={"fail": "x"}, max_attempts=2, retry={"initial_s": 0})

    async def told() -> bool:
        attempts = (await full.get(f"/tasks/{task}")).json.get("attempts", [])
        return [attempt.get("outcome") for attempt in attempts] == ["failed", "failed"]

    await eventually(told)
    shown = (await full.get(f"/tasks/{task}")).json
    assert [attempt["attempt"] for attempt in shown["attempts"]] == [1, 2]
    assert shown["created_at"] <= shown["started_at"] <= shown["ended_at"]
    assert shown["input"] == {"fail": "x"}
    assert shown["state"] == "failed"
