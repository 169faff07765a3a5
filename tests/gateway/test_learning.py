"""How routing is learned, over HTTP: looked at, set, explained; and what is said while the learner is away."""

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.gateway.conftest import Api, Stack, eventually
from tests.gateway.learner import ALGORITHMS, AVERAGE, STATUS, Learner
from tests.gateway.test_tasks import UNKNOWN, ended

from cca.contracts.learner import (
    Averages,
    ConfigurePolicy,
    EvaluatePolicy,
    ExplainTask,
    GetHistory,
    RunShadow,
)
from cca.contracts.policy import Params
from cca.errors import Busy, Refused
from cca.nats import subjects
from cca.nats.wire import Msg
from cca_gateway import learning
from cca_gateway.learning import in_full, merged

LOOKS = ("/rl/stats", "/rl/algorithm", "/rl/params", "/rl/history", "/rl/shadow", f"/tasks/{UNKNOWN}/explain")
CHANGES: tuple[tuple[str, Any], ...] = (
    ("/rl/algorithm", {"algorithm": "static"}),
    ("/rl/params", {"floor": 0.1}),
    ("/rl/params?replace=true", {}),
    ("/rl/train", None),
    ("/rl/evaluate", {"algorithm": "thompson"}),
    ("/rl/shadow", {"verb": "start", "algorithm": "thompson"}),
)


async def test_what_was_learned_is_shown(api: Api, learner: Learner) -> None:
    stats = (await api.get("/rl/stats")).json
    assert (stats["algorithm"], stats["version"], stats["decisions"]) == ("linear-pm", 3, 40)
    assert stats["lanes"]["backend/default"]["success"] == 0.9
    known = (await api.get("/rl/algorithm")).json
    assert (known["algorithm"], list(known["available"])) == ("linear-pm", list(ALGORITHMS))
    assert len((await api.get("/rl/history?points=2&role=backend")).json["points"]) == 2
    assert learner.heard[-1] == GetHistory(2, "backend")
    assert (await api.post("/rl/train")).json["version"] == 4


async def test_parameters_are_shown_in_full(api: Api, learner: Learner) -> None:
    shown = (await api.get("/rl/params")).json
    assert shown["algorithm"] == "linear-pm"
    assert shown["params"].keys() == set(Params.__struct_fields__)
    assert shown["params"]["floor"] == Params().floor
    assert shown["params"]["reward"]["references"] == {"latency_s": 60.0, "tokens": 20_000.0, "cost_usd": 0.5}


async def test_what_is_not_named_stays(api: Api, learner: Learner) -> None:
    first = {"floor": 0.1, "budgets": {"all": 0.5, "role:docs": 0.1}, "reward": {"success": 1}}
    assert (await api.post("/rl/params?reason=pilot", first)).status == 200
    assert learner.heard[-1] == ConfigurePolicy(None, learner.status.params, "pilot", "admin")
    answer = await api.post(
        "/rl/params", {"burn_in": 5, "budgets": {"role:docs": None}, "reward": {"references": {"tokens": 9}}}
    )
    assert answer.status == 200
    now = learner.status.params
    assert (now.floor, now.burn_in, now.budgets) == (0.1, 5, {"all": 0.5})
    assert (now.reward.success, now.reward.references.tokens, now.reward.references.latency_s) == (1.0, 9.0, 60.0)
    assert (await api.post("/rl/params", {"floor": None, "budgets": None})).status == 200
    assert (learner.status.params.floor, learner.status.params.budgets) == (Params().floor, {})
    assert learner.status.params.burn_in == 5


async def test_all_can_be_replaced(api: Api, learner: Learner) -> None:
    await api.post("/rl/params", {"floor": 0.1})
    answer = await api.post("/rl/params?replace=true", {"epsilon": 0.2})
    assert answer.status == 200
    assert learner.status.params == Params(epsilon=0.2)


async def test_of_two_changes_at_once_neither_is_lost(api: Api, learner: Learner) -> None:
    names = ("floor", "epsilon", "alpha", "discount", "learning_rate", "ema_alpha")
    answers = await asyncio.gather(*(api.post("/rl/params", {name: 0.25}) for name in names))
    assert [answer.status for answer in answers] == [200] * len(names)
    assert {name: getattr(learner.status.params, name) for name in names} == dict.fromkeys(names, 0.25)


BROKEN: list[tuple[Any, str]] = [
    ({"floor": 0.6}, "$.floor"),
    ({"floor": "much"}, "$.floor"),
    ({"floor": True}, "$.floor"),
    ({"burn_in": 1.5}, "$.burn_in"),
    ({"forgetting": 0.5}, "$.forgetting"),
    ({"table_size": 10**30}, "$.table_size"),
    ({"budgets": {"everybody": 1}}, "$.budgets"),
    ({"budgets": {"all": 0}}, "$.budgets"),
    ({"table": {"no lane": 1}}, "$.table"),
    ({"reward": {"success": -1}}, "$.reward.success"),
    ({"reward": {"references": {"cost_usd": 0}}}, "$.reward.references.cost_usd"),
    ({"reward": 1}, "$.reward"),
    ({"flor": 0.1}, "flor"),
    ([], "array"),
    ("floor", "str"),
]


async def test_every_range_is_checked(api: Api, learner: Learner) -> None:
    for body, place in BROKEN:
        for how in ("", "?replace=true"):
            answer = await api.post(f"/rl/params{how}", body)
            assert (answer.status, answer.problem) == (422, "invalid"), body
            assert place in answer.json["detail"], body
    assert (await api.post("/rl/params", b"{")).problem == "unreadable"
    assert (await api.post("/rl/params?replace=perhaps", {})).problem == "invalid"
    assert learner.status == STATUS


async def test_another_algorithm_is_asked_for_by_the_name_of_the_key(api: Api, learner: Learner) -> None:
    answer = await api.post("/rl/algorithm", {"algorithm": "static", "reason": "incident"})
    assert (answer.status, answer.json["algorithm"]) == (200, "static")
    assert learner.heard[-1] == ConfigurePolicy("static", None, "incident", "admin")
    for body in ({"algorithm": "magic"}, {}, {"algorithm": None}, {"algorithm": "static", "why": "x"}):
        assert (await api.post("/rl/algorithm", body)).problem == "invalid"


async def test_a_decision_is_explained_and_made_again(api: Api, learner: Learner) -> None:
    task = await api.submit()
    why = (await api.get(f"/tasks/{task}/explain")).json
    assert (why["task"], why["lane"], why["propensity"]) == (task, "default", 1.0)
    assert "replay" not in why and learner.heard[-1] == ExplainTask(task)
    again = (await api.get(f"/tasks/{task}/explain?route=1&replay=true")).json
    assert again["replay"]["equal"] is True
    assert learner.heard[-1] == ExplainTask(task, 1, True)
    answer = await api.get(f"/tasks/{task}/explain?route=2")
    assert (answer.status, answer.problem) == (409, "not-routed")
    for query in ("route=0", "route=x", "replay=2", "why=1"):
        assert (await api.get(f"/tasks/{task}/explain?{query}")).problem == "invalid", query
    assert (await api.get("/tasks/nonsense/explain")).problem == "bad-id"


async def test_candidates_are_valued_and_tried(api: Api, learner: Learner) -> None:
    found = (await api.post("/rl/evaluate", {"algorithm": "thompson", "since_s": 3600})).json
    assert (found["algorithm"], found["estimates"][0]["method"]) == ("thompson", "dr")
    assert learner.heard == [EvaluatePolicy("thompson", 3600.0)]
    started = await api.post("/rl/shadow", {"verb": "start", "algorithm": "linucb", "promote": True})
    assert started.json["shadow"]["algorithm"] == "linucb"
    assert learner.heard[-1] == RunShadow("start", "linucb", True, "admin")
    assert (await api.get("/rl/shadow")).json["shadow"]["promote"] is True
    assert "shadow" not in (await api.post("/rl/shadow", {"verb": "stop", "requester": "ann"})).json
    assert learner.heard[-1] == RunShadow("stop", requester="ann")
    for path, body in (("evaluate", {"algorithm": "mägic\r\n"}), ("shadow", {"verb": "start", "algorithm": "\u2028"})):
        answer = await api.post(f"/rl/{path}", body)
        assert (answer.status, answer.problem) == (422, "unknown-algorithm")
    for path, body in (("evaluate", {}), ("shadow", {"verb": "begin"}), ("evaluate", {"algorithm": "x" * 41})):
        assert (await api.post(f"/rl/{path}", body)).problem == "invalid"


async def test_without_a_learner_that_is_said_and_tasks_go_on(busy: Api) -> None:
    answers = [await busy.get(path) for path in LOOKS] + [await busy.post(path, body) for path, body in CHANGES]
    for answer in answers:
        assert (answer.status, answer.problem) == (503, "busy")
        assert answer.json["detail"].startswith("the learner does not answer (nobody answers on cca.rpc.learner.")
        assert answer.headers["Retry-After"] == "1"
    assert await ended(busy, await busy.submit()) == "completed"


async def test_what_the_learner_says_itself_is_passed_on(api: Api, learner: Learner) -> None:
    learner.wrong = Refused("bad-params", "the table names no lane that lives")
    answer = await api.post("/rl/algorithm", {"algorithm": "static"})
    assert (answer.status, answer.problem) == (422, "bad-params")
    assert answer.json["detail"] == "the table names no lane that lives"
    learner.wrong = Busy("the log is still being read: 10 of 1,000 events")
    answer = await api.get("/rl/stats")
    assert (answer.status, answer.json["detail"]) == (503, str(learner.wrong))


async def test_a_learner_that_is_silent_holds_up_only_its_own_questions(
    full: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(learning, "BRIEFLY", 0.05)
    silent = [
        await full.bus.subscribe(subject, lambda _: None)
        for subject in (subjects.RPC_LEARNER_WORKLOADS, subjects.RPC_LEARNER_TRAIN)
    ]
    assert (await full.get("/workloads")).status == 200
    waiting = asyncio.create_task(full.post("/rl/train"))
    await eventually(lambda: _waits(full))
    full.gateway.close()
    assert (await waiting).problem == "busy"
    for one in silent:
        await one.unsubscribe()


async def _waits(api: Api) -> bool:
    return api.gateway.waiters > 0


async def test_workloads_move_with_what_the_learner_has_seen(
    full: Api, stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(learning, "BRIEFLY", 20.0)
    before = (await full.get("/workloads")).json
    assert "ema_alpha" not in before and "success_ema" not in before["agents"][0]
    learner = await stack.learner()
    (agent,) = before["agents"]
    learner.averages = Averages(0.3, {"backend/default": AVERAGE, "gone/lane": AVERAGE}, {agent["agent"]: AVERAGE})
    after = (await full.get("/workloads")).json
    assert after["ema_alpha"] == 0.3
    moving = {"success_ema": 0.75, "duration_s_ema": 0.5, "tokens_ema": 1_200.0, "cost_usd_ema": 0.02}
    (lane,), (agent,) = after["lanes"], after["agents"]
    assert {name: lane[name] for name in moving} == {name: agent[name] for name in moving} == moving
    learner.wrong = Busy("not now")
    assert (await full.get("/workloads")).json == before


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"alpha": "x"}', b"\xff"])
async def test_averages_that_cannot_be_read_are_left_out(full: Api, body: bytes) -> None:
    def answer(msg: Msg) -> None:
        full.bus.publish(msg.reply, body)

    subscribed = await full.bus.subscribe(subjects.RPC_LEARNER_WORKLOADS, answer)
    shown = await full.get("/workloads")
    assert shown.status == 200
    assert "success_ema" not in shown.json["agents"][0]
    await subscribed.unsubscribe()


# ------------------------------------------------------------------------------------------ pure

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner, max_size=3),
    max_leaves=8,
)


@given(VALUES, VALUES)
def test_a_merge_patch_twice_is_a_merge_patch_once(present: Any, patch: Any) -> None:
    once = merged(present, patch)
    assert merged(once, patch) == once
    assert merged(present, {}) == (present if isinstance(present, dict) else {})


@pytest.mark.parametrize(
    ("present", "patch", "result"),
    [  # RFC 7396, appendix A
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        (["a", "b"], ["c", "d"], ["c", "d"]),
        ({"a": "b"}, ["c"], ["c"]),
        ({"a": "foo"}, None, None),
        ({"a": "foo"}, "bar", "bar"),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ],
)
def test_a_merge_patch_does_what_its_standard_says(present: Any, patch: Any, result: Any) -> None:
    assert merged(present, patch) == result


def test_in_full_nothing_is_left_out() -> None:
    assert in_full(Params())["reward"]["by_kind"] == {}
    assert in_full(Params(table={"a/b": 1.0}))["table"] == {"a/b": 1.0}
