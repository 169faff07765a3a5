"""Which lanes a task may have, before any policy is asked."""

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import given as forall
from hypothesis import strategies as st

from cca.contracts.policy import LaneSummary, Params
from cca.contracts.task import TaskHeld, TaskRouted, TaskSubmitted
from cca.routing.policy import Case, LaneLoad, Policy
from cca.routing.simple import LeastLoaded, Static, Uniform, WeightedRandom
from cca.testing.examples import ID, NOW, submitted
from cca_router import guards
from cca_router.facts import AUTO, Facts, LaneHealth, Routing
from cca_router.place import place
from cca_router.state import TASK, Task

CALM = settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
A, B = LaneLoad("docs", "a", 4), LaneLoad("docs", "b", 4)
ANN = Case({}, "ann")
SOON, PAST = NOW + timedelta(seconds=5), NOW - timedelta(seconds=5)


def facts(
    *lanes: LaneLoad,
    health: dict[str, LaneHealth] | None = None,
    costs: dict[str, float] | None = None,
    policy: Policy | None = None,
    **params: Any,
) -> Facts:
    summaries = {lane: LaneSummary(n=9.0, cost_usd=cost) for lane, cost in (costs or {}).items()}
    return Facts(
        NOW,
        lambda role: [lane for lane in lanes if role in (lane.role, AUTO)],
        Routing(policy or LeastLoaded(), 3, summaries=summaries, params=Params(**params)),
        health or {},
    )


def sorted_out(seen: Facts, leaving: str | None = None, **asked: Any) -> tuple[list[str], dict[str, str], str | None]:
    """The lanes that may be chosen, the others with their reasons, and what the task waits for."""
    found = guards.admitted(submitted(requester="ann", **asked), ANN, seen, leaving)
    return [one.lane for one in found.lanes], {one.lane: why for one, why in found.masked}, found.hold


# ------------------------------------------------------------------------------------------ hard


def test_a_lane_at_its_quota_is_no_candidate_and_a_quota_of_nothing_shuts_it() -> None:
    busy = LaneLoad("docs", "a", 4, running=1, queued=1)
    assert sorted_out(facts(busy, B, in_flight={"docs/a": 2})) == (["b"], {"a": guards.QUOTA}, None)
    assert sorted_out(facts(busy, B, in_flight={"docs/a": 3})) == (["a", "b"], {}, None)
    assert sorted_out(facts(A, B, in_flight={"docs/a": 0})) == (["b"], {"a": guards.QUOTA}, None)


def test_a_task_that_leaves_a_lane_frees_its_own_place_there() -> None:
    full = facts(LaneLoad("docs", "a", 4, running=1), in_flight={"docs/a": 1})
    assert sorted_out(full)[0] == []
    assert sorted_out(full, leaving="docs/a")[0] == ["a"]
    assert sorted_out(full, leaving="docs/b")[0] == []


def test_a_lane_above_a_ceiling_that_applies_is_no_candidate() -> None:
    dear = {"docs/a": 0.6, "docs/b": 0.1}
    for scope in ("all", "role:docs", "requester:ann"):
        open_lanes, masked, _ = sorted_out(facts(A, B, costs=dear, ceilings={scope: 0.5}))
        assert open_lanes == ["b"]
        assert "ceiling" in masked["a"]
    for scope in ("role:backend", "requester:bob"):
        assert sorted_out(facts(A, B, costs=dear, ceilings={scope: 0.5}))[0] == ["a", "b"]
    assert sorted_out(facts(A, B, ceilings={"all": 0.01}))[0] == ["a", "b"]  # nothing is known of them yet


@pytest.mark.parametrize(
    ("asked", "params", "held"),
    [
        ({}, {"in_flight": {"docs/a": 0, "docs/b": 0}}, "full: every lane of role docs holds as many tasks as it may"),
        ({"lane": "b"}, {"in_flight": {"docs/b": 0}}, "full: lane b of role docs holds as many tasks as it may"),
        ({}, {"ceilings": {"all": 0.5}}, "too dear: every lane of role docs costs more than the ceiling"),
        (
            {"role": "auto"},
            {"in_flight": {"docs/a": 0}, "ceilings": {"all": 0.5}},
            "full or too dear: every lane of any role holds as many tasks as it may, or costs more than the ceiling",
        ),
    ],
)
def test_where_hard_masks_leave_nothing_the_task_is_held_and_says_why(
    asked: dict[str, Any], params: dict[str, Any], held: str
) -> None:
    def seen(cost: float) -> Facts:
        # dearer than the ceiling, but a lane that has no place is said to have none
        return facts(A, B, costs={"docs/b": cost, "docs/a": 0.1 if "in_flight" in params else cost}, **params)

    task = TASK.over(Task(), [submitted(requester="ann", **asked)])
    decision = place(seen(0.6), task)
    assert decision.events == (TaskHeld(ID, held),)
    assert guards.waits_for_change(held)
    assert place(seen(0.7), TASK.over(task, decision.events)).events == ()  # only a figure has changed


def test_what_waits_for_a_worker_does_not_wait_for_room() -> None:
    assert not guards.waits_for_change(guards.missing("full", None))
    assert not guards.waits_for_change(guards.missing("auto", "a"))


# ------------------------------------------------------------------------------------------ soft


def test_a_lane_that_rests_or_pauses_is_passed_over_until_its_time_has_come() -> None:
    for health, why in (
        (LaneHealth(limited_until=SOON), guards.LIMITED),
        (LaneHealth(5, rests_until=SOON), guards.RESTING),
        (LaneHealth(5, rests_until=PAST, trying="another"), guards.TRYING),
        (LaneHealth(5, rests_until=PAST, limited_until=SOON), guards.LIMITED),
    ):
        assert sorted_out(facts(A, B, health={"docs/a": health})) == (["b"], {"a": why}, None)
    for health in (LaneHealth(4), LaneHealth(limited_until=PAST), LaneHealth(5, rests_until=PAST)):
        assert sorted_out(facts(A, B, health={"docs/a": health})) == (["a", "b"], {}, None)


def test_a_long_queue_is_passed_over_while_another_lane_has_less() -> None:
    long, longer = LaneLoad("docs", "a", 4, queued=9), LaneLoad("docs", "b", 1, queued=90)
    assert sorted_out(facts(long, B, backlog=2.0)) == (["b"], {"a": guards.BACKLOG}, None)
    assert sorted_out(facts(long, longer, backlog=2.0)) == (["a", "b"], {}, None)
    resting = {"docs/b": LaneHealth(5, rests_until=SOON)}
    assert sorted_out(facts(long, B, backlog=2.0, health=resting)) == (["a"], {"b": guards.RESTING}, None)


def test_masks_are_lifted_where_they_would_leave_nothing() -> None:
    resting = LaneHealth(5, rests_until=SOON)
    assert sorted_out(facts(A, B, health={"docs/a": resting, "docs/b": resting})) == (["a", "b"], {}, None)
    assert sorted_out(facts(A, health={"docs/a": resting})) == (["a"], {}, None)
    asked = sorted_out(facts(A, B, health={"docs/a": resting}), lane="a")
    assert asked == (["a"], {"b": "only lane a was asked for"}, None)


# ------------------------------------------------------------------------------------------ whatever is known

KEYS = [f"{role}/{lane}" for role in ("docs", "backend") for lane in "abc"]
loads = st.builds(
    LaneLoad,
    st.sampled_from(["docs", "backend"]),
    st.sampled_from("abc"),
    st.integers(1, 4),
    running=st.integers(0, 4),
    queued=st.integers(0, 40),
)
times = st.sampled_from([None, PAST, NOW, SOON])
ailing = st.builds(LaneHealth, st.integers(0, 9), times, st.sampled_from([None, "another"]), times)
some_params = st.fixed_dictionaries(
    {
        "in_flight": st.dictionaries(st.sampled_from(KEYS), st.integers(0, 9), max_size=4),
        "ceilings": st.dictionaries(
            st.sampled_from(["all", "role:docs", "requester:ann"]), st.sampled_from([0.2, 0.6]), max_size=2
        ),
        "backlog": st.sampled_from([0.5, 2.0, 8.0]),
    }
)
policies = st.sampled_from([LeastLoaded(), Uniform(), WeightedRandom(), Static({"docs/a": 1.0, "backend/b": 3.0})])


@st.composite
def worlds(draw: Callable[[Any], Any]) -> tuple[TaskSubmitted, Facts, Sequence[LaneLoad]]:
    lanes = draw(st.lists(loads, max_size=6, unique_by=lambda lane: lane.key))
    spec = submitted(
        role=draw(st.sampled_from(["docs", "auto"])),
        lane=draw(st.sampled_from([None, None, "a"])),
        requester=draw(st.sampled_from([None, "ann"])),
    )
    seen = facts(
        *lanes,
        health=draw(st.dictionaries(st.sampled_from(KEYS), ailing, max_size=6)),
        costs=draw(st.dictionaries(st.sampled_from(KEYS), st.sampled_from([0.1, 0.5, 0.9]), max_size=6)),
        policy=draw(policies),
        **draw(some_params),
    )
    return spec, seen, seen.lanes(spec.role)


def hard(spec: TaskSubmitted, seen: Facts, lane: LaneLoad) -> bool:
    """Whether a lane may not have the task at all."""
    params, summary = seen.routing.params, seen.routing.summaries.get(lane.key)
    cost = summary.cost_usd if summary is not None else None
    scopes = ("all", f"role:{lane.role}", f"requester:{spec.requester}")
    lowest = min((params.ceilings[scope] for scope in scopes if scope in params.ceilings), default=None)
    return (
        spec.lane not in (None, lane.lane)
        or (cost is not None and lowest is not None and cost > lowest)
        or lane.running + lane.queued >= params.in_flight.get(lane.key, 1_000)
    )


@CALM
@forall(worlds())
def test_every_live_lane_is_admitted_or_masked_and_hard_masks_alone_can_hold_a_task(
    world: tuple[TaskSubmitted, Facts, Sequence[LaneLoad]],
) -> None:
    spec, seen, live = world
    found = guards.admitted(spec, Case({}, spec.requester), seen)
    assert sorted([one.key for one in found.lanes] + [one.key for one, _ in found.masked]) == sorted(
        one.key for one in live
    )
    may = {one.key for one in live if not hard(spec, seen, one)}
    assert {one.key for one in found.lanes} <= may
    assert bool(found.lanes) == bool(may) == (found.hold is None)


@CALM
@forall(worlds())
def test_what_is_masked_is_recorded_and_never_chosen_and_the_chances_of_the_others_sum_to_one(
    world: tuple[TaskSubmitted, Facts, Sequence[LaneLoad]],
) -> None:
    spec, seen, live = world
    (event,) = place(seen, TASK.over(Task(), [spec])).events
    if isinstance(event, TaskHeld):
        return
    assert isinstance(event, TaskRouted)
    by_key = {f"{one.role or event.role}/{one.lane}": one for one in event.candidates}
    assert by_key.keys() == {one.key for one in live}
    chosen = by_key[f"{event.role}/{event.lane}"]
    assert chosen.masked is None
    assert chosen.probability == event.propensity > 0
    assert all(one.probability == 0 for one in event.candidates if one.masked is not None)
    assert sum(one.probability for one in event.candidates) == pytest.approx(1, abs=1e-6)
