"""How a task gets its lane: what is recorded of it, who is asked, and that it can be decided again from the log."""

from collections.abc import Sequence
from typing import get_args

import pytest
from msgspec import Struct

from cca import codec
from cca.contracts.policy import Algorithm, LaneSummary, Params, PolicySnapshot
from cca.contracts.task import TaskRouted, TaskSubmitted
from cca.routing.algorithm import History
from cca.routing.algorithms import ALGORITHMS, policy_of
from cca.routing.explain import again
from cca.routing.features import HALF, ONE, Vocabulary
from cca.routing.policy import Case, Judgement, LaneLoad, Policy
from cca.routing.simple import RoundRobin
from cca.routing.statistics import Statistics
from cca.routing.steps import Option, Step
from cca.testing.examples import ID, NOW, attempt_failed, routed, started, submitted
from cca_router.facts import AUTO, Facts, Routing
from cca_router.place import features, place
from cca_router.state import TASK, Task

LANES = [LaneLoad("docs", name, capacity=4, running=place) for place, name in enumerate("abc")]
VOCABULARY = Vocabulary().grown(["kind=review", "language=python", "failed=docs/a"])


def facts(*lanes: LaneLoad, routing: Routing | None = None, turn: int = 0) -> Facts:
    def live(role: str) -> list[LaneLoad]:
        return [lane for lane in lanes if role in (lane.role, AUTO)]

    return Facts(NOW, live, routing or Routing(), turn=turn)


def decided(seen: Facts, *history: TaskSubmitted | TaskRouted) -> TaskRouted:
    decision = place(seen, TASK.over(Task(), history or [submitted()]))
    (event,), (side,) = decision.events, decision.sides
    assert isinstance(event, TaskRouted)
    stored = codec.decode("cca.task.routed.v1", codec.encode(event))
    assert stored == event
    assert side.subject == f"cca.work.{event.role}.{event.lane}.normal"
    return event


def learned(algorithm: Algorithm, params: Params | None = None) -> PolicySnapshot:
    """A version that was learned from a few hundred outcomes: lane b is the best, a is bad at reviews."""
    params = params or Params()
    steps = []
    for number in range(300):
        lane, kind = "abc"[number % 3], ("review", "test")[number % 2]
        good = {"a": kind != "review", "b": number % 10 != 0, "c": number % 4 == 0}[lane]
        steps.append(
            Step(
                task=f"t{number}",
                route=1,
                position=number * 5,
                time=1e9 + number,
                lane=f"docs/{lane}",
                x={"size": 900, f"kind={kind}": ONE},
                load=number % ONE,
                options=tuple(Option(f"docs/{name}", 1 / 3) for name in "abc"),
                propensity=1 / 3,
                policy="uniform/1",
                kind=kind,
                ending="completed" if good else "failed",
                latency_s=3.0,
                duration_s=2.0,
                cost_usd=0.1,
            )
        )
    statistics = Statistics(params, VOCABULARY.names)
    for step in steps:
        statistics.add(step)
    history = History(statistics, steps, params, VOCABULARY.names)
    model = ALGORITHMS[algorithm].fit(history).model
    return PolicySnapshot(
        7, 1_500, statistics.digest(), algorithm, params, VOCABULARY.names, statistics.summaries(), {}, model
    )


def routing(snapshot: PolicySnapshot, policy: Policy | None = None) -> Routing:
    return Routing(
        policy or policy_of(snapshot),
        snapshot.version,
        Vocabulary(snapshot.vocabulary).slots(),
        snapshot.lanes,
        snapshot.params,
    )


class Asked(Struct, frozen=True):
    """Must not be asked."""

    name: str = "expensive/1"

    def judge(self, case: Case, lanes: Sequence[LaneLoad]) -> Judgement:
        raise AssertionError("a model was asked")


# ------------------------------------------------------------------------------------------ features


def test_a_task_is_described_by_what_was_declared_and_by_what_has_happened_to_it() -> None:
    spec = submitted(
        description="x" * 50,
        context="y" * 30,
        input={"a": 1},
        priority="high",
        kind="review",
        requester="ann",
        labels={"language": "python", "repo": "billing", "team": "blue"},
    )
    failed_once = TASK.over(Task(), [spec, routed("a"), started(), attempt_failed()])
    x = features(failed_once, spec)
    assert x["size"] == features(Task(), submitted(description="x" * 87))["size"]
    assert {name: size for name, size in x.items() if name != "size"} == {
        "priority": HALF,
        "attempt": ONE // 4,
        "kind=review": ONE,
        "language=python": HALF,
        "repo=billing": HALF,
        "requester=ann": HALF,
        "failed=docs/a": ONE,
    }


def test_only_features_that_the_policy_knows_are_recorded() -> None:
    spec = submitted(kind="review", requester="ann", labels={"language": "python", "repo": "billing"})
    assert decided(facts(*LANES), spec).x.keys() == {"size"}
    assert decided(facts(*LANES, routing=routing(learned("uniform"))), spec).x.keys() == {
        "size",
        "kind=review",
        "language=python",
    }


# ------------------------------------------------------------------------------------------ who decides


def test_without_any_policy_the_least_loaded_lane_is_taken() -> None:
    event = decided(facts(*LANES))
    assert (event.lane, event.policy, event.version, event.propensity) == ("a", "least-loaded/1", 0, 1.0)


def test_a_version_is_recorded_with_what_it_knew_of_the_lanes() -> None:
    snapshot = learned("linear-pm")
    event = decided(facts(*LANES, routing=routing(snapshot)))
    assert (event.policy, event.version) == ("linear-pm/1", 7)
    for one in event.candidates:
        assert one.mean is not None and one.deviation is not None and one.deviation > 0
        assert one.features["success"] == snapshot.lanes[f"docs/{one.lane}"].success
        assert one.features["running"] == "abc".index(one.lane)


def test_where_one_lane_is_left_no_model_is_asked() -> None:
    only = routing(learned("uniform", Params(in_flight={"docs/a": 0, "docs/b": 1})), Asked())
    event = decided(facts(*LANES, routing=only, turn=9))
    assert (event.lane, event.policy, event.version, event.propensity) == ("c", "expensive/1", 7, 1.0)
    assert [(one.lane, one.probability) for one in event.candidates] == [("c", 1.0), ("a", 0.0), ("b", 0.0)]
    assert not event.explored


def test_a_policy_that_fails_is_replaced_by_the_least_loaded_lane_and_the_log_says_so() -> None:
    event = decided(facts(*LANES, routing=routing(learned("uniform"), Asked())))
    assert (event.lane, event.policy, event.version, event.propensity) == ("a", "least-loaded/1", 0, 1.0)
    assert [one.probability for one in event.candidates] == [1.0, 0.0, 0.0]


def test_policies_that_take_turns_are_told_whose_it_is() -> None:
    turns = routing(learned("uniform"), RoundRobin())
    events = [decided(facts(*LANES, routing=turns, turn=turn)) for turn in range(5)]
    assert [event.lane for event in events] == list("abcab")
    assert [event.turn for event in events] == [0, 1, 2, 3, 4]


def test_for_any_role_the_arms_are_the_lanes_of_all_roles() -> None:
    others = [LaneLoad("backend", "a", 4), LaneLoad("backend", "z", 4)]
    snapshot = learned("linear-pm")
    event = decided(facts(*LANES, *others, routing=routing(snapshot)), submitted(role="auto"))
    recorded = {f"{one.role}/{one.lane}" for one in event.candidates}
    assert recorded == {"docs/a", "docs/b", "docs/c", "backend/a", "backend/z"}
    # Lanes that were never tried come first, whatever role they are of.
    assert event.role == "backend"
    full = Routing(RoundRobin(), params=Params(in_flight={"docs/a": 0, "backend/z": 0}))
    event = decided(facts(LANES[0], *others, routing=full), submitted(role="auto"))
    assert (event.role, event.lane) == ("backend", "a")
    assert {one.role for one in event.candidates} == {"docs", "backend"}


# ------------------------------------------------------------------------------------------ again


@pytest.mark.parametrize("algorithm", get_args(Algorithm))
def test_a_decision_can_be_made_again_from_what_the_log_says_of_it(algorithm: Algorithm) -> None:
    params = Params(table={"docs/a": 1.0, "docs/b": 2.0}, in_flight={"docs/c": 3}, floor=0.2)
    snapshot = learned(algorithm, params)
    stored = codec.read(codec.encode(snapshot), PolicySnapshot)
    for number in range(20):
        spec = submitted(task=f"{ID[:-2]}{number:02}", kind=("review", "test")[number % 2], requester="ann")
        seen = facts(*LANES, LaneLoad("docs", "d", 1, queued=number), routing=routing(snapshot), turn=number)
        event = decided(seen, spec)
        assert event.version == 7
        choice, difference = again(event, stored, policy_of(stored), "ann")
        assert difference == ""
        assert choice.candidates == event.candidates


@pytest.mark.parametrize("algorithm", ["linear-pm", "linucb", "epsilon-greedy", "thompson"])
def test_what_was_learned_decides(algorithm: Algorithm) -> None:
    snapshot = learned(algorithm)
    idle = [LaneLoad("docs", name, 4) for name in "abc"]
    lanes = []
    for number in range(60):
        spec = submitted(task=f"{ID[:-2]}{number:02}", kind="review")
        lanes.append(decided(facts(*idle, routing=routing(snapshot)), spec).lane)
    assert lanes.count("b") > 45


def test_lanes_that_nothing_is_known_of_are_recorded_with_their_load_alone() -> None:
    known = Routing(summaries={"docs/a": LaneSummary(n=2.0, success=0.5, age=4)})
    a, b, _ = decided(facts(*LANES, routing=known)).candidates
    assert (a.features["success"], a.features["age"]) == (0.5, 4.0)
    assert b.features.keys() == {"capacity", "running", "queued", "agents"}
