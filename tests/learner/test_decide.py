"""What may become of the policy: given what has happened, when something is asked, then this follows."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import pytest
from hypothesis import given as over
from hypothesis import strategies as st

from cca import codec
from cca.contracts.learner import ConfigurePolicy, RunShadow, Shadow
from cca.contracts.policy import (
    ROUTING,
    Params,
    PolicyConfigured,
    PolicyUpdated,
    Reward,
    ShadowStarted,
    ShadowStopped,
    VocabularyGrown,
)
from cca.errors import Refused, Unreadable
from cca.message import Event
from cca.routing.algorithms import ALGORITHMS, challengers
from cca.routing.features import BASE, MOST
from cca.testing.given import given
from cca_learner import decide
from cca_learner.decide import LIVE, POLICY, Made, Policy

DEFAULT, CAREFUL = Params(), Params(floor=0.1)
KNOWN = (*LIVE, "vowpal-wabbit")


def configured(algorithm: Any = "linear-pm", params: Params = DEFAULT) -> PolicyConfigured:
    return PolicyConfigured(ROUTING, algorithm, params)


def version(number: int, position: int = 7, algorithm: Any = "linear-pm") -> PolicyUpdated:
    return PolicyUpdated(ROUTING, number, position, algorithm, f"digest-{number}", 5)


def made(policy: Policy, position: int = 7) -> Made:
    return Made(policy.algorithm, policy.params, policy.vocabulary, position, "digest-1", 5)


def started(algorithm: str = "linucb", promote: bool = False, position: int = 40) -> ShadowStarted:
    return ShadowStarted(ROUTING, algorithm, position, promote)


# ------------------------------------------------------------------------------------------ configuring


def test_every_algorithm_that_can_be_configured_can_decide() -> None:
    assert set(LIVE) == set(ALGORITHMS) <= set(challengers())


def test_what_is_not_asked_for_stays() -> None:
    command = ConfigurePolicy(algorithm="linucb", reason="to see", requester="ann")
    expected = PolicyConfigured(ROUTING, "linucb", CAREFUL, "to see", "ann")
    given(POLICY, configured(params=CAREFUL)).when(partial(decide.configure, command)).then(expected)


def test_parameters_replace_all_of_them() -> None:
    state = given(POLICY, configured("thompson", CAREFUL))
    after = state.when(partial(decide.configure, ConfigurePolicy(params=Params(epsilon=0.5)))).state
    assert after.algorithm == "thompson" and after.params == Params(epsilon=0.5)


def test_what_is_so_already_changes_nothing() -> None:
    given(POLICY).when(partial(decide.configure, ConfigurePolicy("linear-pm", Params()))).then()


def test_a_reward_of_nothing_is_refused() -> None:
    nothing = Params(reward=Reward(0, 0, 0, 0, 0, 0))
    given(POLICY).when(partial(decide.configure, ConfigurePolicy(params=nothing))).refused("bad-params")


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b'{"type":"cca.policy.configure.v1","params":{"floor":0.51}}', "floor"),
        (b'{"type":"cca.policy.configure.v1","params":{"floor":-0.01}}', "floor"),
        (b'{"type":"cca.policy.configure.v1","params":{"forgetting":1.01}}', "forgetting"),
        (b'{"type":"cca.policy.configure.v1","params":{"forgetting":0.5}}', "forgetting"),
        (b'{"type":"cca.policy.configure.v1","params":{"buffer_size":1}}', "buffer_size"),
        (b'{"type":"cca.policy.configure.v1","params":{"update_s":0.001}}', "update_s"),
        (b'{"type":"cca.policy.configure.v1","params":{"budgets":{"nobody":1}}}', "budgets"),
        (b'{"type":"cca.policy.configure.v1","params":{"ceilings":{"all":0}}}', "ceilings"),
        (b'{"type":"cca.policy.configure.v1","params":{"table":{"opus":1}}}', "table"),
        (b'{"type":"cca.policy.configure.v1","params":{"reward":{"success":-1}}}', "reward"),
        (b'{"type":"cca.policy.configure.v1","params":{"ema_alpha":0}}', "ema_alpha"),
        (b'{"type":"cca.policy.configure.v1","params":{"speed":1}}', "speed"),
        (b'{"type":"cca.policy.configure.v1","algorithm":"magic"}', "magic"),
    ],
)
def test_a_parameter_out_of_its_range_is_unreadable_and_named(body: bytes, says: str) -> None:
    with pytest.raises(Unreadable, match=says):
        codec.read(body, ConfigurePolicy)


def test_a_reason_can_be_stored_by_postgresql() -> None:
    command = ConfigurePolicy("linucb", reason="a\0b", requester="c\0d")
    event = given(POLICY).when(partial(decide.configure, command)).events[0]
    assert isinstance(event, PolicyConfigured)
    assert (event.reason, event.requester) == ("a\ufffdb", "c\ufffdd")


# ------------------------------------------------------------------------------------------ names


def test_new_names_get_the_next_slots_in_their_order() -> None:
    names = ["kind=review", "language=rust", "kind=review", "1"]
    given(POLICY).when(partial(decide.grow, names)).then(VocabularyGrown(ROUTING, ("kind=review", "language=rust")))


def test_a_field_takes_no_more_names_than_it_has_room_for() -> None:
    state = given(POLICY).when(partial(decide.grow, [f"kind={n}" for n in range(100)])).state
    assert len(state.vocabulary) == len(BASE) + 16


@over(st.lists(st.sampled_from(["kind", "language", "repo", "requester", "failed", "size", "other"]), max_size=120))
def test_the_vocabulary_is_bounded_and_only_grows(fields: list[str]) -> None:
    policy = POLICY.initial
    for number, field in enumerate(fields):
        before = policy.vocabulary
        policy = POLICY.over(policy, decide.grow([f"{field}={number}"], policy).events)
        assert policy.vocabulary[: len(before)] == before
        assert len(set(policy.vocabulary)) == len(policy.vocabulary) <= MOST


def test_a_name_that_was_stored_twice_keeps_its_slot() -> None:
    policy = POLICY.over(POLICY.initial, [VocabularyGrown(ROUTING, ("kind=a",)), VocabularyGrown(ROUTING, ("kind=a",))])
    assert policy.vocabulary == (*BASE, "kind=a")


# ------------------------------------------------------------------------------------------ versions


def test_versions_are_numbered_from_one() -> None:
    policy = POLICY.initial
    assert decide.updated(made(policy), 0, policy).events == (version(1),)


def test_a_version_is_above_any_that_routers_may_have() -> None:
    policy = POLICY.initial
    (event,) = decide.updated(made(policy), 41, policy).events
    assert isinstance(event, PolicyUpdated) and event.version == 42


@pytest.mark.parametrize(
    "meanwhile", [configured("linucb"), configured(params=CAREFUL), VocabularyGrown(ROUTING, ("kind=docs",))]
)
def test_a_version_made_under_what_holds_no_longer_is_none(meanwhile: Event) -> None:
    before = POLICY.initial
    assert decide.updated(made(before), 0, POLICY.evolve(before, meanwhile)).events == ()


def test_it_is_known_under_what_each_version_was_made() -> None:
    events: Sequence[Event] = (
        version(1),
        version(2),
        VocabularyGrown(ROUTING, ("kind=docs",)),
        configured("linucb", CAREFUL),
        version(3),
        version(5),
        configured("static"),
    )
    policy = POLICY.over(POLICY.initial, events)
    first, second = policy.era_of(1), policy.era_of(3)
    assert first is not None and second is not None
    assert (first.algorithm, first.params, first.vocabulary) == ("linear-pm", Params(), BASE)
    assert (second.algorithm, second.params, second.vocabulary) == ("linucb", CAREFUL, (*BASE, "kind=docs"))
    assert policy.era_of(2) == first and policy.era_of(5) == second
    assert policy.era_of(0) is None and policy.era_of(6) is None
    assert (policy.version, policy.algorithm, policy.settled) == (5, "static", False)


def test_eras_are_bounded_and_the_newest_are_kept() -> None:
    policy = POLICY.initial
    for number in range(1, decide.ERAS + 50):
        policy = POLICY.over(policy, [configured(params=Params(burn_in=number % 900)), version(number)])
    assert len(policy.eras) == decide.ERAS
    assert policy.era_of(1) is None and policy.era_of(policy.version) == policy.eras[-1]


# ------------------------------------------------------------------------------------------ shadows


def test_a_candidate_is_tried_from_the_end_of_the_log_on() -> None:
    command = RunShadow("start", "linucb", promote=True, requester="ann")
    expected = ShadowStarted(ROUTING, "linucb", 40, True, "ann")
    given(POLICY).when(partial(decide.shadow, command, 40, KNOWN)).then(expected)


def test_another_candidate_takes_the_place_of_the_first() -> None:
    command = RunShadow("start", "thompson")
    when = given(POLICY, started()).when(partial(decide.shadow, command, 50, KNOWN))
    when.then_kinds(ShadowStopped, ShadowStarted)
    assert when.state.shadow == started("thompson", position=50)


def test_a_candidate_is_stopped_once() -> None:
    stop = partial(decide.shadow, RunShadow("stop"), 50, KNOWN)
    given(POLICY, started()).when(stop).then_kinds(ShadowStopped)
    given(POLICY).when(stop).then()


def test_looking_at_it_changes_nothing() -> None:
    given(POLICY, started()).when(partial(decide.shadow, RunShadow(), 50, KNOWN)).then()


@pytest.mark.parametrize(
    ("command", "code", "says"),
    [
        (RunShadow("start"), "bad-params", "linucb"),
        (RunShadow("start", "magic"), "unknown-algorithm", "linucb"),
        (RunShadow("start", "linear-pm"), "bad-params", "already"),
        (RunShadow("start", "vowpal-wabbit", promote=True), "bad-params", "live"),
    ],
)
def test_a_candidate_that_makes_no_sense_is_refused_with_what_would(command: RunShadow, code: str, says: str) -> None:
    with pytest.raises(Refused, match=says) as refused:
        decide.shadow(command, 1, KNOWN, POLICY.initial)
    assert refused.value.code == code


def test_a_challenger_may_be_tried_without_taking_over() -> None:
    command = RunShadow("start", "vowpal-wabbit")
    given(POLICY).when(partial(decide.shadow, command, 1, KNOWN)).then_kinds(ShadowStarted)


def test_a_better_candidate_takes_over_under_the_same_parameters() -> None:
    found = Shadow("linucb", 40, promote=True, decisions=300, verdict="better than what decided")
    when = given(POLICY, configured(params=CAREFUL), started(promote=True)).when(partial(decide.promote, found))
    when.then_kinds(PolicyConfigured, ShadowStopped)
    event = when.events[0]
    assert isinstance(event, PolicyConfigured)
    assert "300 decisions" in event.reason and "better" in event.reason
    assert (when.state.algorithm, when.state.params, when.state.shadow) == ("linucb", CAREFUL, None)


@pytest.mark.parametrize(
    ("tried", "found"),
    [
        (started(promote=False), Shadow("linucb", 40, promote=True)),
        (started(promote=True), Shadow("linucb", 40, promote=False)),
        (started(promote=True), Shadow("linucb", 39, promote=True)),
        (started(promote=True), Shadow("thompson", 40, promote=True)),
        (started("vowpal-wabbit", promote=True), Shadow("vowpal-wabbit", 40, promote=True)),
    ],
)
def test_no_other_candidate_takes_over(tried: ShadowStarted, found: Shadow) -> None:
    given(POLICY, tried).when(partial(decide.promote, found)).then()
