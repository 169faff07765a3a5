"""The list of tasks: filters, pages, and text that is only text."""

import asyncio
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Any

import pytest
from tests.gateway.conftest import Api, Stack, eventually
from tests.gateway.test_tasks import ended


async def listed(api: Api, **query: Any) -> list[dict[str, Any]]:
    """All pages of a list."""
    found: list[dict[str, Any]] = []
    while True:
        answer = await api.get("/tasks", params=query)
        assert answer.status == 200, answer.body
        found += answer.json["items"]
        if answer.json["next"] is None:
            return found
        query["cursor"] = answer.json["next"]


async def known(api: Api, *tasks: str) -> None:
    """Wait until the tables know the tasks."""

    async def there() -> bool:
        return set(tasks) <= {item["task"] for item in await listed(api, limit=500)}

    await eventually(there)


async def test_every_filter_narrows(full: Api) -> None:
    plain = await full.submit(role="nobody")
    rich = await full.submit(
        role="nobody", kind="review", requester="ann", labels={"team": "a,b", "x": "1"}, lane="opus"
    )
    done = await full.submit(description="done here")
    assert await ended(full, done) == "completed"
    await known(full, plain, rich, done)
    agent = (await full.get("/agents")).json["agents"][0]["agent"]

    async def found(**query: Any) -> list[str]:
        return [item["task"] for item in await listed(full, **query)]

    async def projected() -> bool:
        return await found(state="completed") == [done]

    await eventually(projected)
    assert await found() == [done, rich, plain]
    assert await found(role="nobody") == [rich, plain]
    assert await found(state="submitted") == [rich, plain]
    assert await found(state="submitted,completed") == [done, rich, plain]
    assert await found(kind="review") == await found(requester="ann") == [rich]
    assert await found(label="team=a,b") == await found(label="x=1") == [rich]
    assert await found(label="x=2") == await found(label="x=") == []
    assert await found(agent=agent) == await found(lane="default") == [done]
    assert await found(role="nobody", kind="review", state="completed") == []
    now = datetime.now(UTC)
    assert await found(since=(now + timedelta(minutes=5)).isoformat()) == []
    assert await found(until=(now + timedelta(minutes=5)).isoformat()) == [done, rich, plain]
    assert await found(since=(now - timedelta(minutes=5)).isoformat(), q="DONE HERE") == [done]
    answer = await full.raw("GET", "/api/v1/tasks?label=team=a%2Cb&label=x=1&state=submitted&state=completed")
    assert [item["task"] for item in answer.json["items"]] == [rich]


@pytest.mark.covers("SEC-003")
async def test_text_is_searched_as_it_is(full: Api) -> None:
    texts = ["100% done", "100 done", "a_b", "aXb", "back\\slash", "'; drop table cca.tasks; --", "Ünï 🧹", "$1 {}"]
    tasks = {text: await full.submit(description=text, role="nobody") for text in texts}
    await known(full, *tasks.values())
    for needle, expected in {
        "%": ["100% done"],
        "_": ["a_b"],
        "a_b": ["a_b"],
        "\\": ["back\\slash"],
        "'; drop table": ["'; drop table cca.tasks; --"],
        "üNï": ["Ünï 🧹"],
        "🧹": ["Ünï 🧹"],
        "100": ["100% done", "100 done"],
        "$1": ["$1 {}"],
        "{}": ["$1 {}"],
        "%%": [],
        "100_ done": [],
        "' or '1'='1": [],
    }.items():
        found = {item["task"] for item in await listed(full, q=needle)}
        assert found == {tasks[text] for text in expected}, needle
    assert len(await listed(full)) == len(texts)


@pytest.mark.covers("SEC-003")
async def test_no_value_is_ever_sql(full: Api) -> None:
    texts = ["'", '"', "%", "_", "\\", "'; drop table cca.tasks; --", "$1", "\u2028", "a" * 200, "{}", "{0}"]
    for where, text in product(("kind", "requester", "agent", "q", "label"), texts):
        value = f"{text}={text}" if where == "label" else text
        answer = await full.get("/tasks", params={where: value})
        assert (answer.status, answer.json) == (200, {"items": [], "next": None}), (where, text)


async def test_pages_stay_right_while_tasks_come(full: Api) -> None:
    old = [await full.submit(role="nobody") for _ in range(25)]
    await known(full, *old)
    first = (await full.get("/tasks", params={"limit": 10})).json
    new = await asyncio.gather(*(full.submit(role="nobody") for _ in range(7)))
    await known(full, *new)
    seen, cursor = [item["task"] for item in first["items"]], first["next"]
    while cursor is not None:
        page = (await full.get("/tasks", params={"limit": 10, "cursor": cursor})).json
        seen += [item["task"] for item in page["items"]]
        cursor = page["next"]
    assert seen == old[::-1]


async def test_a_list_shows_the_beginning_of_a_long_description(full: Api) -> None:
    task = await full.submit(description="🧹" * 1_000, role="nobody")
    await known(full, task)
    (item,) = await listed(full)
    assert item["description"] == "🧹" * 199 + "…"
    assert "input" not in item and "result" not in item


async def test_a_failure_is_listed_without_its_details(full: Api) -> None:
    task = await full.submit(input={"fail": "no such file"}, max_attempts=1)
    assert await ended(full, task) == "failed"

    async def failed() -> Any:
        return await listed(full, state="failed")

    (item,) = await eventually(failed)
    assert item["failure"]["kind"] == "error"
    assert "no such file" in item["failure"]["message"]
    assert "detail" not in item["failure"]


NONSENSE = [
    "limit=0",
    "limit=501",
    "limit=x",
    "limit=",
    "limit=1&limit=2",
    "state=done",
    "role=Back",
    "cursor=x",
    "cursor=MTph",
    "cursor=Mjox",
    "cursor=%00",
    "since=yesterday",
    "since=2026-01-01T00:00:00",
    "label=x",
    "label==x",
    "q=",
    "q=a%00b",
    "q=" + "x" * 201,
    "kind=a%0Ab",
    "nonsense=1",
    "%00=1",
    "%ff=%ff",
    "kind=a%0Ab",
]


async def test_a_question_that_makes_no_sense_is_refused(api: Api) -> None:
    for query in NONSENSE:
        answer = await api.raw("GET", f"/api/v1/tasks?{query}")
        assert (answer.status, answer.problem) == (422, "invalid"), query


async def test_without_tables_the_list_is_not_there_and_tasks_are_taken(api: Api) -> None:
    task = await api.submit()
    for path in ("/tasks", "/roles", "/workloads", "/activity"):
        answer = await api.get(path)
        assert (answer.status, answer.problem) == (503, "busy"), path
        assert answer.headers["Retry-After"] == "1"
    assert (await api.get(f"/tasks/{task}")).json["state"] == "submitted"


async def test_before_the_projector_was_ever_there_the_list_is_not_either(stack: Stack, postgres: Any) -> None:
    await stack.router()
    stack.use(postgres)
    api = await stack.gateway()

    async def connected() -> bool:
        return "not there yet" in (await api.get("/tasks")).json["detail"]

    await eventually(connected)
    assert (await api.get("/tasks")).problem == "busy"
    assert (await api.get("/readyz")).json["checks"]["postgres"] == {"ok": True}
    await stack.close()
