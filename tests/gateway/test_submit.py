"""Submitting tasks over HTTP: at once, or with the outcome; once, however often it is said."""

import asyncio
from uuid import UUID, uuid4

import pytest
from tests.gateway.conftest import Api, eventually

from cca.contracts.task import TaskSubmitted, TaskView
from cca.message import Stream

TASK = {"description": "sort the list", "role": "backend"}
TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


async def history(api: Api, task: str) -> list[str]:
    """The short names of a task's events."""
    return [
        str(recorded.event.__struct_config__.tag).split(".")[2]
        async for recorded in api.gateway.log.read(Stream("task", task))
    ]


@pytest.mark.covers("H2")
async def test_a_task_is_accepted_while_nobody_can_do_it(api: Api) -> None:
    answer = await api.post("/tasks", TASK)
    assert answer.status == 202
    task = answer.json["task"]
    assert answer.headers["Location"] == f"/api/v1/tasks/{task}"
    assert "Idempotency-Replayed" not in answer.headers
    shown = await api.get(f"/tasks/{task}")
    assert (shown.json["state"], shown.json["waiting"]) == ("submitted", "no live worker for role backend")


@pytest.mark.covers("H19")
async def test_the_events_bear_the_id_that_was_answered(api: Api) -> None:
    task = await api.submit()
    recorded = [event async for event in api.gateway.log.read(Stream("task", task))]
    assert isinstance(recorded[0].event, TaskSubmitted)
    assert {getattr(one.event, "task", None) for one in recorded} == {task}


async def test_everything_that_was_asked_is_in_the_log(api: Api) -> None:
    task = await api.submit(
        description="räum auf 🧹",
        input={"deep": [1, 2.5, None, {"a": "b"}]},
        context="more",
        priority="high",
        lane="opus",
        kind="review",
        requester="ann",
        labels={"team": "a"},
        max_attempts=7,
        timeout_s=3.5,
        retry={"initial_s": 0.5},
    )
    event = (await anext(api.gateway.log.read(Stream("task", task)))).event
    assert isinstance(event, TaskSubmitted)
    assert (event.description, event.context, event.priority, event.lane) == ("räum auf 🧹", "more", "high", "opus")
    assert event.input == {"deep": [1, 2.5, None, {"a": "b"}]}
    assert (event.kind, event.requester, event.labels) == ("review", "ann", {"team": "a"})
    assert (event.max_attempts, event.timeout_s, event.retry.initial_s) == (7, 3.5, 0.5)


@pytest.mark.covers("STAB-013")
async def test_an_id_of_the_submitter_is_looked_at_once_and_kept(busy: Api) -> None:
    task = uuid4()
    answer = await busy.post("/tasks", TASK | {"id": task.hex.upper()}, headers={"Prefer": "wait=20"})
    assert (answer.status, answer.json["task"]) == (200, str(task))
    assert answer.headers["Location"] == f"/api/v1/tasks/{task}"
    for bad in ("x", "", "1\r\nX-Injected: 1", "x" * 64):
        answer = await busy.post("/tasks", TASK | {"id": bad}, headers={"Prefer": "wait=20"})
        assert (answer.status, answer.problem) == (422, "bad-id")
    assert (await busy.post("/tasks", TASK | {"id": "x" * 65})).problem == "invalid"


async def test_waiting_brings_the_outcome(busy: Api) -> None:
    answer = await busy.post("/tasks", TASK, headers={"Prefer": "wait=20"})
    assert answer.status == 200
    assert answer.headers["Preference-Applied"] == "wait=20"
    assert answer.headers["Location"] == f"/api/v1/tasks/{answer.json['task']}"
    assert answer.json["state"] == "completed"
    assert answer.json["result"] == {"done": "sort the list"}


async def test_an_outcome_may_be_a_failure(busy: Api) -> None:
    task = TASK | {"input": {"fail": "no such list"}, "max_attempts": 1}
    answer = await busy.post("/tasks", task, headers={"Prefer": "respond-async, wait=20"})
    assert answer.status == 200
    assert answer.json["state"] == "failed"
    assert "no such list" in answer.json["failure"]["message"]


async def test_a_wait_that_was_too_short_says_where_to_look(api: Api) -> None:
    answer = await api.post("/tasks", TASK, headers={"Prefer": "wait=1"})
    assert answer.status == 202
    assert answer.json["state"] == "submitted"
    assert answer.headers["Location"] == f"/api/v1/tasks/{answer.json['task']}"


@pytest.mark.parametrize("preference", ["wait=-1", "wait=soon", "wait", "wait=0", "handling=lenient", "", "wait=１"])
async def test_a_preference_that_is_none_is_ignored(api: Api, preference: str) -> None:
    answer = await api.post("/tasks", TASK, headers={"Prefer": preference})
    assert answer.status == 202
    assert "Preference-Applied" not in answer.headers


@pytest.mark.covers("H1")
async def test_a_client_that_goes_away_changes_nothing(busy: Api) -> None:
    task = str(uuid4())
    body = TASK | {"id": task, "input": {"sleep": 0.3}}
    waiting = asyncio.create_task(busy.post("/tasks", body, headers={"Prefer": "wait=20"}))
    await eventually(lambda: _is_in(busy, task, "working"))
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    await eventually(lambda: _is_in(busy, task, "completed"))
    assert (await history(busy, task)).count("completed") == 1

    async def idle() -> bool:
        return [agent.get("running", 0) for agent in (await busy.get("/agents")).json["agents"]] == [0]

    await eventually(idle)


async def _is_in(api: Api, task: str, state: str) -> bool:
    answer = await api.get(f"/tasks/{task}")
    return answer.status == 200 and bool(answer.json["state"] == state)


# ------------------------------------------------------------------------------------------ once


async def test_the_same_key_again_is_answered_with_the_same_task(api: Api) -> None:
    first = await api.post("/tasks", TASK, headers={"Idempotency-Key": "monday"})
    again = await api.post("/tasks", TASK, headers={"Idempotency-Key": '"monday"'})
    assert (first.status, again.status) == (202, 202)
    assert first.json["task"] == again.json["task"]
    assert "Idempotency-Replayed" not in first.headers
    assert again.headers["Idempotency-Replayed"] == "true"


async def test_the_same_key_for_something_else_is_refused(api: Api) -> None:
    await api.post("/tasks", TASK, headers={"Idempotency-Key": "monday"})
    answer = await api.post("/tasks", TASK | {"description": "other"}, headers={"Idempotency-Key": "monday"})
    assert (answer.status, answer.problem) == (422, "key-reused")


async def test_a_repeated_task_brings_its_recorded_outcome(busy: Api) -> None:
    headers = {"Idempotency-Key": "tuesday", "Prefer": "wait=20"}
    first = await busy.post("/tasks", TASK, headers=headers)
    again = await busy.post("/tasks", TASK, headers=headers)
    assert (first.status, again.status) == (200, 200)
    assert first.json == again.json
    assert "Idempotency-Replayed" not in first.headers
    assert again.headers["Idempotency-Replayed"] == "true"
    assert (await history(busy, first.json["task"])).count("started") == 1


async def test_a_hundred_times_at_once_is_one_task(busy: Api) -> None:
    body = TASK | {"id": str(uuid4())}
    answers = await asyncio.gather(*(busy.post("/tasks", body) for _ in range(100)))
    assert {answer.status for answer in answers} == {202}
    assert {answer.json["task"] for answer in answers} == {body["id"]}
    assert sum("Idempotency-Replayed" not in answer.headers for answer in answers) == 1
    assert (await history(busy, body["id"])).count("submitted") == 1


async def test_the_key_in_the_body_and_in_the_header_are_the_same_thing(api: Api) -> None:
    first = await api.post("/tasks", TASK | {"idempotency_key": "k"})
    again = await api.post("/tasks", TASK, headers={"Idempotency-Key": "k"})
    assert first.json["task"] == again.json["task"]
    both = await api.post("/tasks", TASK | {"idempotency_key": "k"}, headers={"Idempotency-Key": "other"})
    assert (both.status, both.problem) == (422, "invalid")


@pytest.mark.parametrize("key", ["", '""', "x" * 201, "tab\there", "ü"])
async def test_a_key_that_is_none_is_refused(api: Api, key: str) -> None:
    answer = await api.post("/tasks", TASK, headers={"Idempotency-Key": key})
    assert (answer.status, answer.problem) == (400, "bad-header")


# ------------------------------------------------------------------------------------------ many


async def test_of_a_batch_each_task_is_accepted_or_refused_by_itself(api: Api) -> None:
    answer = await api.post(
        "/tasks/batch",
        [TASK, {"description": "no role"}, TASK | {"id": "not a uuid"}, 7, TASK | {"nonsense": 1}, TASK],
    )
    assert answer.status == 200
    items = answer.json["items"]
    assert [item["status"] for item in items] == [202, 422, 422, 422, 422, 202]
    assert (answer.json["accepted"], answer.json["refused"]) == (2, 4)
    assert [item.get("problem", {}).get("type", "").removeprefix("urn:cca:problem:") for item in items] == [
        "",
        "invalid",
        "bad-id",
        "invalid",
        "invalid",
        "",
    ]
    for item in (items[0], items[-1]):
        assert (await api.get(f"/tasks/{item['task']}")).status == 200


async def test_a_batch_under_a_key_is_submitted_once(api: Api) -> None:
    body = [TASK, TASK, TASK | {"idempotency_key": "its own"}]
    first = await api.post("/tasks/batch", body, headers={"Idempotency-Key": "friday"})
    again = await api.post("/tasks/batch", body, headers={"Idempotency-Key": "friday"})
    tasks = [item["task"] for item in first.json["items"]]
    assert len(set(tasks)) == 3
    assert [item["task"] for item in again.json["items"]] == tasks
    assert [item["created"] for item in again.json["items"]] == [False] * 3


async def test_the_key_of_a_batch_leaves_room_for_an_index(api: Api) -> None:
    assert (await api.post("/tasks/batch", [TASK], headers={"Idempotency-Key": "x" * 190})).json["accepted"] == 1
    assert (await api.post("/tasks/batch", [TASK], headers={"Idempotency-Key": "x" * 191})).problem == "bad-header"


async def test_a_thousand_tasks_fit_into_a_batch_and_no_more(api: Api) -> None:
    answer = await api.post("/tasks/batch", [TASK] * 1_000)
    assert answer.json["accepted"] == 1_000
    assert len({item["task"] for item in answer.json["items"]}) == 1_000
    for body in ([TASK] * 1_001, []):
        assert (await api.post("/tasks/batch", body)).problem == "invalid"


# ------------------------------------------------------------------------------------------ traces and ids


async def test_the_trace_context_goes_into_the_log(api: Api) -> None:
    answer = await api.post("/tasks", TASK, headers={"traceparent": TRACE})
    recorded = [one async for one in api.gateway.log.read(Stream("task", answer.json["task"]))]
    assert {one.meta.trace for one in recorded} == {TRACE}


@pytest.mark.parametrize("trace", ["", "00-0-0-0", TRACE.upper(), TRACE + "x"])
async def test_a_trace_context_that_is_none_is_no_harm(api: Api, trace: str) -> None:
    assert (await api.post("/tasks", TASK, headers={"traceparent": trace})).status == 202


async def test_a_request_id_is_echoed_or_made(api: Api) -> None:
    given = await api.post("/tasks", TASK, headers={"X-Request-Id": "job-7/a"})
    assert given.headers["X-Request-Id"] == "job-7/a"
    made = await api.post("/tasks", TASK)
    bad = await api.post("/tasks", TASK, headers={"X-Request-Id": "a b"})
    assert UUID(made.headers["X-Request-Id"]) != UUID(bad.headers["X-Request-Id"])
    refused = await api.post("/tasks", {}, headers={"X-Request-Id": "job-8"})
    assert refused.json["request_id"] == refused.headers["X-Request-Id"] == "job-8"


async def test_any_role_that_is_a_word_is_taken_and_auto_too(busy: Api) -> None:
    answer = await busy.post("/tasks", {"description": "x", "role": "auto"}, headers={"Prefer": "wait=20"})
    assert (answer.status, answer.json["role"]) == (200, "backend")
    for role in ("", "Backend", "back.end", "back end", "back*", ">", "x" * 64, "backend\n"):
        answer = await busy.post("/tasks", {"description": "x", "role": role})
        assert (answer.status, answer.problem) == (422, "invalid"), role


async def test_the_answer_is_what_the_router_says(api: Api) -> None:
    body = (await api.post("/tasks", TASK, headers={"Prefer": "wait=1"})).json
    assert set(body) <= {"type", *TaskView.__struct_fields__}
