"""The gateway with the real learner: what is said over HTTP is what was learned from the tasks that were done."""

from typing import Any

import pytest
from tests.gateway.conftest import Api, Stack, eventually
from tests.gateway.test_tasks import ended

from cca.nats import subjects
from cca_gateway import learning


@pytest.fixture
async def learned(full: Api, stack: Stack, monkeypatch: pytest.MonkeyPatch) -> Api:
    """The gateway, a router, the tables, a learner, and two lanes that have done a few tasks."""
    monkeypatch.setattr(learning, "BRIEFLY", 20.0)
    await stack.real_learner()
    await stack.worker(name="second", lane="opus")
    answer = await full.post("/rl/params", {"update_s": 0.05, "burn_in": 1})
    assert answer.status == 200, answer.body
    for number in range(8):
        assert await ended(full, await full.submit(kind="docs" if number % 2 else "code")) == "completed"

    async def all_eight() -> bool:
        return bool((await full.post("/rl/train")).json["decisions"] == 8)

    await eventually(all_eight)
    return full


REWARDS = ("success", "quality", "latency", "tokens", "money", "deadline")


async def explained(api: Api, task: str, query: str = "") -> Any:
    answer = await api.get(f"/tasks/{task}/explain{query}")
    assert answer.status == 200, answer.body
    return answer.json


@pytest.mark.covers("H8")
async def test_tasks_decide_what_is_known_and_ratings_correct_it(learned: Api) -> None:
    before = (await learned.get("/rl/stats")).json
    assert before["lanes"].keys() == {"backend/default", "backend/opus"}
    task = (await learned.get("/tasks?limit=1")).json["items"][0]["task"]
    assert "quality" not in (await explained(learned, task))["components"]
    assert (await learned.post(f"/tasks/{task}/feedback", {"quality": 0.125})).status == 200

    async def corrected() -> bool:
        return bool((await explained(learned, task))["components"].get("quality") == 0.125)

    await eventually(corrected)

    async def learned_again() -> Any:
        status = (await learned.post("/rl/train")).json
        return status if status["digest"] != before["digest"] else None

    after = await eventually(learned_again)
    assert after["decisions"] == before["decisions"]

    async def in_the_tables() -> bool:
        rows = await learned.gateway.tables.rows(
            "SELECT 1 FROM cca.policies p, cca.routing_decisions d WHERE p.digest = $1 AND d.quality = 0.125",
            after["digest"],
        )
        return len(rows) >= 1  # further versions may have learned nothing new

    await eventually(in_the_tables)
    assert (await learned.get("/rl/history")).json["points"]


async def test_a_decision_comes_out_the_same_when_it_is_made_again(learned: Api) -> None:
    version = (await learned.get("/rl/stats")).json["version"]

    async def decided_by_what_was_learned() -> Any:
        task = await learned.submit(kind="code")
        why = await explained(learned, task)
        return task if why["version"] >= version else None

    task = await eventually(decided_by_what_was_learned)
    why = await explained(learned, task, "?route=1&replay=true")
    assert why["replay"]["equal"], why["replay"]
    page = (await learned.get(f"/tasks/{task}/events?types=cca.task.routed.v1")).json["items"]
    assert [event["data"]["lane"] for event in page] == [why["lane"]]
    answer = await learned.get(f"/tasks/{task}/explain?route=9")
    assert (answer.status, answer.problem) == (409, "not-routed")


async def test_what_is_set_decides_at_once_and_stays(learned: Api) -> None:
    assert (await learned.post("/rl/params", {"table": {"backend/opus": 1}})).status == 200
    answer = await learned.post("/rl/algorithm", {"algorithm": "static", "reason": "incident"})
    assert (answer.status, answer.json["algorithm"]) == (200, "static")
    shown = (await learned.get("/rl/params")).json
    assert (shown["algorithm"], shown["params"]["table"], shown["params"]["burn_in"]) == (
        "static",
        {"backend/opus": 1.0},
        1,
    )

    async def decides() -> bool:
        task = await learned.submit()
        why = await explained(learned, task)
        return bool(why["policy"] == "static/1" and why["lane"] == "opus")

    await eventually(decides)
    said = (await learned.get(f"/events?subject={subjects.events('policy', 'routing')}&limit=1000")).json["items"]
    (switched,) = [event["data"] for event in said if event["data"].get("reason") == "incident"]
    assert (switched["algorithm"], switched["requester"]) == ("static", "admin")
    answer = await learned.post("/rl/params", {"reward": dict.fromkeys(REWARDS, 0)})
    assert (answer.status, answer.problem) == (422, "bad-params")


async def test_candidates_are_valued_and_tried_beside_what_decides(learned: Api) -> None:
    found = (await learned.post("/rl/evaluate", {"algorithm": "thompson"})).json
    assert found["algorithm"] == "thompson" and found["verdict"]
    assert (await learned.post("/rl/evaluate", {"algorithm": "magic"})).problem == "unknown-algorithm"
    assert (await learned.post("/rl/shadow", {"verb": "start"})).problem == "bad-params"
    started = await learned.post("/rl/shadow", {"verb": "start", "algorithm": "linucb"})
    assert (started.status, started.json["shadow"]["algorithm"]) == (200, "linucb")
    assert "shadow" not in (await learned.post("/rl/shadow", {"verb": "stop"})).json


async def test_workloads_move_and_go_when_the_agent_goes(learned: Api, stack: Stack) -> None:
    before = (await learned.get("/workloads")).json
    assert {lane["lane"]: lane["success_ema"] for lane in before["lanes"]} == {"default": 1.0, "opus": 1.0}
    assert all(agent["success_ema"] == 1.0 and agent["capacity"] == 1 for agent in before["agents"])
    lane = before["lanes"][0]["lane"]
    failing = await learned.submit(lane=lane, input={"fail": "x"}, max_attempts=1)
    assert await ended(learned, failing) == "failed"

    async def moved() -> bool:
        now = {one["lane"]: one["success_ema"] for one in (await learned.get("/workloads")).json["lanes"]}
        return bool(0.5 < now[lane] < 1.0)

    await eventually(moved)
    await stack.leave("second")

    async def gone() -> bool:
        return "second" not in [one["agent"] for one in (await learned.get("/workloads")).json["agents"]]

    await eventually(gone)
