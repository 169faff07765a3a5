"""The policies as a pure aggregate: what is set holds, what is so already changes nothing."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from cca.contracts.ledger import (
    EVERYONE,
    RolePolicy,
    SetTokenPolicy,
    TokenPolicies,
    TokenPolicySet,
    TokensCompressed,
    TokensExpanded,
)
from cca.errors import Refused
from cca_tokens import decide
from cca_tokens.decide import FOLD, Policies, evolve, set_policy

POLICY = RolePolicy(1_000)

roles = st.sampled_from([EVERYONE, "backend", "docs", "a-b_c"])
policies = st.none() | st.builds(
    RolePolicy, st.integers(1, 5), st.sampled_from(["gpt-5", "a\0b"]), st.sampled_from(["safe", "strong"])
)
commands = st.builds(SetTokenPolicy, roles, policies, st.text(max_size=5), st.none() | st.text(max_size=5))


def after(*commands: SetTokenPolicy, start: Policies | None = None) -> Policies:
    state = start or FOLD.initial
    for command in commands:
        state = FOLD.over(state, set_policy(command, 0, state).events)
    return state


def test_a_policy_is_set_replaced_and_removed() -> None:
    state = after(SetTokenPolicy("backend", POLICY))
    assert state == Policies(1, {"backend": POLICY})
    state = after(SetTokenPolicy("backend", RolePolicy(5)), SetTokenPolicy(EVERYONE, POLICY), start=state)
    assert state == Policies(3, {EVERYONE: POLICY, "backend": RolePolicy(5)})
    assert state.of("backend") == RolePolicy(5) and state.of("docs") == POLICY
    state = after(SetTokenPolicy("backend"), start=state)
    assert state == Policies(4, {EVERYONE: POLICY}) and state.of("backend") == POLICY
    assert after(SetTokenPolicy(EVERYONE), start=state).of("backend") is None
    assert state.snapshot() == TokenPolicies(4, {EVERYONE: POLICY})


def test_what_is_removed_need_not_have_been_there() -> None:
    assert set_policy(SetTokenPolicy("nobody"), 0, Policies()).events == ()


@settings(max_examples=60)
@given(st.lists(commands, max_size=8), st.integers(0, 3))
def test_said_twice_it_changes_nothing_and_versions_only_grow(said: list[SetTokenPolicy], least: int) -> None:
    state = FOLD.initial
    for command in said:
        decision = set_policy(command, least, state)
        now = FOLD.over(state, decision.events)
        assert now.version == (max(state.version, least) + 1 if decision.events else state.version)
        assert (now.roles == state.roles) == (not decision.events)
        assert set_policy(command, least, now).events == ()
        wanted = command.policy and replace(command.policy, model=command.policy.model.replace("\0", "\ufffd"))
        assert now.roles.get(command.role) == wanted
        assert "\0" not in repr(decision.events)
        state = now


@given(st.lists(commands, max_size=8))
@settings(max_examples=30)
def test_the_order_in_which_roles_were_set_does_not_show(said: list[SetTokenPolicy]) -> None:
    assert list(after(*said).roles) == sorted(after(*said).roles)


def test_a_version_goes_above_what_routers_have() -> None:
    (event,) = set_policy(SetTokenPolicy("backend", POLICY), 41, Policies(3)).events
    assert isinstance(event, TokenPolicySet) and event.version == 42


def test_what_is_said_of_texts_changes_no_policy() -> None:
    state = after(SetTokenPolicy("backend", POLICY))
    assert evolve(state, TokensCompressed("r", "m", 2, 1, {}, {"logs": 1})) is state
    assert evolve(state, TokensExpanded("r", "logs", 1)) is state


def test_there_is_an_end_to_how_many_roles_have_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decide, "ROLES", 2)
    state = after(SetTokenPolicy("a", POLICY), SetTokenPolicy("b", POLICY))
    with pytest.raises(Refused) as refused:
        set_policy(SetTokenPolicy("c", POLICY), 0, state)
    assert refused.value.code == "too-many"
    assert after(SetTokenPolicy("b", RolePolicy(7)), start=state).version == 3
    assert after(SetTokenPolicy("b"), SetTokenPolicy("c", POLICY), start=state).roles.keys() == {"a", "c"}
