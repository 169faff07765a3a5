"""Why a task was routed as it was; and that the same decision can be made again from what was recorded."""

from collections.abc import Sequence
from typing import cast

import msgspec
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import given as forall
from hypothesis import strategies as st
from msgspec import Struct
from msgspec.structs import replace

from cca import codec
from cca.contracts.policy import Algorithm, LaneSummary, Params, PolicySnapshot
from cca.contracts.task import TaskRouted
from cca.errors import Refused
from cca.routing.algorithm import History
from cca.routing.algorithms import ALGORITHMS, policy_of
from cca.routing.explain import again, explained, lane_of
from cca.routing.features import BASE, ONE
from cca.routing.pacing import prices
from cca.routing.policy import Case, Judgement, LaneLoad, Policy, choose, seed_of, unit
from cca.routing.statistics import Statistics
from cca.routing.steps import Option, Step

CALM = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
PARAMS = Params()


class Liking(Struct, frozen=True):
    """Expects of a lane what its letter and each feature say; dearer for a requester, and different at each turn."""

    name: str = "liking/1"
    taste: float = 0.1

    def judge(self, case: Case, lanes: Sequence[LaneLoad]) -> Judgement:
        means = [sum(self.contributions(case, lane).values()) for lane in lanes]
        scores = [mean - 0.1 * (case.requester == "alice") * place for place, mean in enumerate(means)]
        weights = [0.01 + max(score, 0.0) + (case.turn % len(lanes) == place) for place, score in enumerate(scores)]
        return Judgement([weight / sum(weights) for weight in weights], scores, means, [0.1] * len(lanes))

    def contributions(self, case: Case, lane: LaneLoad) -> dict[str, float]:
        letter = self.taste * (ord(lane.lane[0]) - ord("a"))
        return {
            "1": letter,
            "load": -lane.running / 10,
            **{name: (size / ONE) * (letter - 0.1) for name, size in case.x.items()},
        }


class Drawn(Struct, frozen=True):
    """Expects nothing."""

    name: str = "drawn/1"

    def judge(self, case: Case, lanes: Sequence[LaneLoad]) -> Judgement:
        return Judgement([1 / len(lanes)] * len(lanes), [0.0] * len(lanes))


LANE = st.builds(
    LaneLoad,
    st.sampled_from(["docs", "code"]),
    st.sampled_from("abcdef"),
    st.integers(0, 50),
    st.integers(0, 50),
    st.integers(0, 1000),
    st.integers(1, 9),
)
LANES = st.lists(LANE, min_size=1, max_size=8, unique_by=lambda lane: lane.key)
CASES = st.builds(
    Case,
    st.dictionaries(st.sampled_from(["size", "priority", "kind=review", "language=py"]), st.integers(-ONE, ONE)),
    st.sampled_from([None, "alice", "bob"]),
    st.integers(0, 10_000),
)
SEEDS = st.integers(0, 2**63 - 1)
SNAPSHOT = PolicySnapshot(
    4, 90, "d", "linear-pm", PARAMS, ("1", "load"), {"docs/b": LaneSummary(3.0, 0.5)}, {"all": 2.0}
)


def decided(
    policy: Policy,
    case: Case,
    lanes: Sequence[LaneLoad],
    masked: Sequence[tuple[LaneLoad, str]] = (),
    seed: int = 7,
    snapshot: PolicySnapshot | None = SNAPSHOT,
) -> TaskRouted:
    """What is in the log of a decision."""
    choice = choose(policy, seed, case, lanes, masked, None if snapshot is None else snapshot.lanes)
    event = TaskRouted(
        "t",
        1,
        choice.lane.role,
        choice.lane.lane,
        choice.policy,
        choice.propensity,
        choice.seed,
        choice.candidates,
        choice.explored,
        0 if snapshot is None else snapshot.version,
        dict(case.x),
        case.turn,
    )
    stored = codec.decode("cca.task.routed.v1", codec.encode(event))
    assert isinstance(stored, TaskRouted)
    return stored


def outcomes(n: int) -> list[Step]:
    """Decisions between four lanes, the later in the alphabet the better and the dearer."""
    options = tuple(Option(f"docs/{letter}", 0.25) for letter in "abcd")
    return [
        Step(
            task=f"t{number // 2}",
            route=1 + number % 2,
            position=10 * number + 1,
            time=float(number),
            lane=f"docs/{'abcd'[number % 4]}",
            x={"size": 700 + number, f"kind={('fix', 'review')[number % 3 == 0]}": ONE},
            load=100 * (number % 7),
            options=options,
            propensity=0.25,
            policy="linear-pm/1",
            version=4,
            requester=(None, "alice", "bob")[number % 3],
            ending="completed" if unit(seed_of("ends", number)) < 0.2 + 0.2 * (number % 4) else "failed",
            latency_s=float(number % 50),
            cost_usd=0.01 * (number % 4),
        )
        for number in range(n)
    ]


# ------------------------------------------------------------------------------------------ again


@CALM
@forall(st.sampled_from([Liking(), Drawn()]), CASES, LANES, st.integers(0, 8), SEEDS, st.sampled_from([None, SNAPSHOT]))
def test_a_decision_made_again_from_the_log_is_the_same(
    policy: Liking | Drawn, case: Case, lanes: list[LaneLoad], kept: int, seed: int, snapshot: PolicySnapshot | None
) -> None:
    open_lanes, others = lanes[: max(kept, 1)], lanes[max(kept, 1) :]
    event = decided(policy, case, open_lanes, [(lane, "breaker") for lane in others], seed, snapshot)
    choice, difference = again(event, snapshot, policy, case.requester)
    assert difference == ""
    assert (choice.lane.role, choice.lane.lane, choice.propensity) == (event.role, event.lane, event.propensity)
    assert choice.candidates == event.candidates


@pytest.mark.parametrize("name", sorted(ALGORITHMS))
def test_every_algorithm_decides_the_same_again_from_its_stored_snapshot(name: str) -> None:
    params = Params(budgets={"all": 0.01, "requester:alice": 0.02}, table={"docs/a": 1.0, "docs/c": 3.0})
    vocabulary, steps = (*BASE, "kind=review", "kind=fix"), outcomes(300)
    statistics = Statistics(params, vocabulary)
    for one in steps:
        statistics.add(one)
    learner = ALGORITHMS[name]
    made = PolicySnapshot(
        version=4,
        position=steps[-1].position,
        digest=statistics.digest(),
        algorithm=cast(Algorithm, name),
        params=params,
        vocabulary=vocabulary,
        lanes=statistics.summaries(),
        prices=prices(statistics, params),
        model=learner.fit(History(statistics, steps, params, vocabulary)).model,
    )
    stored = codec.read(codec.encode(made), PolicySnapshot)
    lanes = [LaneLoad("docs", "abcd"[place], 4, place, 3 - place) for place in range(4)]
    for number, one in enumerate(steps[:40]):
        case = Case(one.x, one.requester, number)
        event = decided(policy_of(made), case, lanes[: 1 + number % 4], [(lanes[3], "breaker")], seed_of(number), made)
        _, differs = again(event, stored, policy_of(stored), one.requester)
        assert differs == ""
        told = explained(event, one, stored, policy_of(stored), params)
        for seen in told.candidates:
            if seen.mean is not None and seen.contributions:
                assert sum(seen.contributions.values()) == pytest.approx(seen.mean, abs=1e-5)


LANES_AB = [LaneLoad("docs", "a", 4), LaneLoad("docs", "b", 4, running=1)]


def test_where_there_was_nothing_to_choose_no_policy_is_asked_again() -> None:
    event = decided(Drawn("liking/1"), Case({"size": ONE}), LANES_AB[1:], [(LANES_AB[0], "breaker")])
    choice, difference = again(event, SNAPSHOT, Liking())
    assert (choice.lane, choice.propensity, difference) == (LANES_AB[1], 1.0, "")
    assert choice.candidates[0].mean is None  # as it was recorded


def test_another_model_is_told_from_the_one_that_decided() -> None:
    event = decided(Liking(), Case({"size": ONE}), LANES_AB)
    _, difference = again(event, replace(SNAPSHOT, version=5), Liking("liking/2", taste=0.3))
    assert "version 4 decided, this is version 5" in difference
    assert "liking/1 decided, this is liking/2" in difference
    assert "the score of docs/b was" in difference
    assert "the probability of docs/b was" in difference


def test_what_was_changed_in_the_record_is_found() -> None:
    event = decided(Liking(), Case({"size": ONE}), LANES_AB)
    other = "a" if event.lane == "b" else "b"
    _, difference = again(replace(event, lane=other), SNAPSHOT, Liking())
    assert f"lane docs/{other} was chosen, now docs/{event.lane}" in difference
    _, difference = again(replace(event, propensity=0.125), SNAPSHOT, Liking())
    assert "its propensity was 0.125, now" in difference


def test_without_recorded_candidates_nothing_can_be_decided_again() -> None:
    event = decided(Liking(), Case({}), LANES_AB)
    with pytest.raises(Refused, match="no candidates were recorded"):
        again(replace(event, candidates=()), SNAPSHOT, Liking())


# ------------------------------------------------------------------------------------------ explained


def test_a_lane_is_seen_again_as_it_was_recorded() -> None:
    lanes = [LaneLoad("docs", "a", 4, 3, 2, 5), LaneLoad("code", "a", 1, 0, 0, 1)]
    event = decided(Drawn(), Case({}), lanes)
    assert [lane_of(event, one) for one in event.candidates] == lanes


@CALM
@forall(CASES, LANES, SEEDS)
def test_contributions_sum_to_the_mean_that_was_recorded(case: Case, lanes: list[LaneLoad], seed: int) -> None:
    event = decided(Liking(), case, lanes, seed=seed)
    told = explained(event, None, SNAPSHOT, Liking(), PARAMS)
    for one in told.candidates:
        assert sum(one.contributions.values()) == pytest.approx(one.mean, abs=1e-5)
        sizes = [abs(amount) for amount in one.contributions.values()]
        assert sizes == sorted(sizes, reverse=True)
    assert (told.draw, told.note, told.prices) == (unit(seed), "", {"all": 2.0})
    assert codec.decode("cca.policy.explanation.v1", codec.encode(told)) == told


@CALM
@forall(CASES, LANES, SEEDS)
def test_the_runner_up_is_the_best_of_the_others(case: Case, lanes: list[LaneLoad], seed: int) -> None:
    event = decided(Liking(), case, lanes, seed=seed)
    told = explained(event, None, SNAPSHOT, Liking(), PARAMS)
    scores = {f"{one.role}/{one.lane}": one.score for one in told.candidates}
    chosen = f"{event.role}/{event.lane}"
    others = {key: score for key, score in scores.items() if key != chosen}
    if not others:
        assert (told.runner_up, told.against) == (None, {})
        return
    assert told.runner_up is not None
    assert others[told.runner_up] == max(others.values())
    means = {f"{one.role}/{one.lane}": one.mean for one in told.candidates}
    first, second = means[chosen], means[told.runner_up]
    assert first is not None and second is not None
    assert sum(told.against.values()) == pytest.approx(first - second, abs=1e-5)
    assert told.explored == (scores[chosen] < max(scores.values()))


def test_a_masked_lane_is_told_with_its_reason_and_is_never_the_runner_up() -> None:
    event = decided(Liking(), Case({"size": ONE}), LANES_AB[:1], [(LANES_AB[1], "its breaker is open")])
    told = explained(event, None, SNAPSHOT, Liking(), PARAMS)
    masked = told.candidates[1]
    assert (masked.lane, masked.masked, masked.contributions) == ("b", "its breaker is open", {})
    assert masked.features["running"] == 1.0
    assert told.runner_up is None


def test_only_the_features_that_matter_most_are_told_against_the_runner_up() -> None:
    x = {f"kind={number}": (number - 6) * 300 for number in range(12)}
    event = decided(Liking(), Case(x), LANES_AB, seed=2**62)
    told = explained(event, None, SNAPSHOT, Liking(), PARAMS)
    assert len(told.against) == 8
    sizes = [abs(amount) for amount in told.against.values()]
    assert sizes == sorted(sizes, reverse=True)
    assert "kind=6" not in told.against  # it is zero
    assert told.x["kind=0"] == pytest.approx(-1800 / ONE)


def test_the_outcome_is_told_with_what_it_was_worth() -> None:
    event = decided(Liking(), Case({}), LANES_AB)
    step = Step("t", 1, 9, 1.0, "docs/a", {}, 0, (), 0.5, "liking/1", ending="completed", latency_s=60.0)
    told = explained(event, step, SNAPSHOT, Liking(), PARAMS)
    assert told.outcome == "completed"
    assert told.components["success"] == 1.0
    assert told.components["latency"] == pytest.approx(0.5)
    assert told.reward == pytest.approx((0.6 + 0.1 * 0.5) / 0.7)
    still_open = explained(event, replace(step, ending=None), SNAPSHOT, Liking(), PARAMS)
    assert (still_open.outcome, still_open.reward, still_open.components) == (None, None, {})


@pytest.mark.parametrize(
    ("event", "snapshot", "policy", "note"),
    [
        (decided(Liking(), Case({}), LANES_AB), None, None, "version 4 of the policy is not kept"),
        (decided(Drawn(), Case({}), LANES_AB, snapshot=None), None, None, "no policy was learned yet"),
        (decided(Drawn(), Case({}), LANES_AB), SNAPSHOT, Drawn(), "drawn/1 expects no reward"),
        (decided(Drawn(), Case({}), LANES_AB), SNAPSHOT, Liking(), "drawn/1 decided in place of liking/1"),
        (decided(Liking(), Case({}), LANES_AB), replace(SNAPSHOT, version=9), Liking(), "are of version 9"),
    ],
)
def test_what_cannot_be_told_is_said(
    event: TaskRouted, snapshot: PolicySnapshot | None, policy: Liking | Drawn | None, note: str
) -> None:
    told = explained(event, None, snapshot, policy, PARAMS)
    assert note in told.note
    assert msgspec.json.encode(told)
    if not isinstance(policy, Liking) or event.policy != policy.name:
        assert all(not one.contributions for one in told.candidates)
