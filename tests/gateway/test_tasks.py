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


@pytest.mark.covers("STAB-013")
@pytest.mark.parametrize(
    "bad", ["x", "1", "..", "%2e%2e", "01890a5d", UNKNOWN + "0", "a%00b", "%ff", "'; drop table tasks", "*", ">", "%20"]
)
async def test_a_bad_id_is_one_error_on_every_route(api: Api, bad: str) -> None:
    for method, what in (("GET", ""), ("GET", "/events"), ("GET", "/output"), ("POST", "/cancel"), ("POST", "/retry")):
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
