"""What is recommended: each with the numbers that speak for it, and nothing on little data."""

import shlex
from collections.abc import Callable
from math import isfinite
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from cca import codec
from cca.contracts.ledger import Recommendation, Recommendations, RolePolicy
from cca.tokens.advice import RULES, SOME, recommend, to_measure
from cca.tokens.ledger import Contexts, Cuts, Facts, Shared, Used, together, wilson

ROLE = "backend"


def only(facts: Facts) -> Recommendation:
    (found,) = recommend(facts)
    return found


def codes(facts: Facts) -> list[str]:
    return [one.code for one in recommend(facts)]


# ------------------------------------------------------------------------------------------- contexts

LARGE = Contexts(ROLE, tasks=100, tokens=1_000_000, potential=0.4, sampled=8)


def test_large_contexts_that_could_be_smaller_are_to_be_compressed() -> None:
    spent = Used(ROLE, "a", model="m", attempts=100, input=2_000_000, output=0, cost_usd=6.0)
    found = only(Facts(used=(spent,), contexts=(LARGE,)))
    assert (found.code, found.subject, found.saves_tokens) == ("compress-context", "role:backend", 400_000)
    assert found.saves_usd == pytest.approx(1.2)
    assert found.evidence == {"tasks": 100, "mean_tokens": 10_000, "potential": 0.4, "sampled": 8}
    assert found.command == "cca tokens policy set backend --max-tokens 6000"
    assert found.severity == "high"


@pytest.mark.parametrize(
    "change",
    [
        {"tasks": SOME - 1, "tokens": 190_000},
        {"tokens": 199_900},
        {"potential": 0.14},
        {"potential": None},
    ],
)
def test_contexts_that_are_few_or_small_or_dense_stay(change: dict[str, float]) -> None:
    assert recommend(Facts(contexts=(replace(LARGE, **change),))) == ()


@pytest.mark.parametrize("role", [ROLE, "*"])
def test_a_role_with_a_policy_needs_no_other(role: str) -> None:
    facts = Facts(contexts=(LARGE,), policies={role: RolePolicy(8_000)})
    assert recommend(facts) == ()
    assert to_measure(facts) == ()


def test_without_a_sample_it_is_expected_what_was_saved_of_others() -> None:
    unknown = replace(LARGE, potential=None, sampled=0)
    seen = Contexts("docs", tasks=20, tokens=20_000, condensed=20, before=20_000, after=10_000)
    policies = {"docs": RolePolicy(500)}
    assert only(Facts(contexts=(unknown, seen), policies=policies)).saves_tokens == 500_000
    assert recommend(Facts(contexts=(unknown, replace(seen, condensed=SOME - 1)), policies=policies)) == ()


def test_the_largest_contexts_are_measured_first() -> None:
    small = replace(LARGE, role="docs", tokens=300_000)
    other = replace(LARGE, role="few", tasks=2)
    assert to_measure(Facts(contexts=(small, other, LARGE))) == (ROLE, "docs")


def test_what_is_wanted_back_is_not_to_be_folded() -> None:
    cuts = Cuts(ROLE, cuts=40, saved=9_000, retrieved={"logs": 10, "json": 1}, retrieved_tokens=3_000)
    policy = RolePolicy(8_000, "gpt-5", "strong", ("logs", "json"))
    found = only(Facts(cuts=(cuts,), policies={ROLE: policy}))
    assert (found.code, found.saves_tokens) == ("loosen-policy", 11 * 200)
    assert "11 of 40 cuts" in found.text and "`logs`" in found.text
    assert found.evidence["rate"] == 0.275
    assert shlex.split(found.command)[3:] == [
        *("set", ROLE, "--max-tokens", "12000", "--level", "strong", "--model", "gpt-5"),
        *("--strategy", "logs", "--strategy", "json"),
    ]
    assert only(Facts(cuts=(cuts,))).command == ""


def test_of_strategies_with_enough_cuts_that_is_named_whose_cuts_are_fetched_most_often() -> None:
    back = {"logs": 30, "json": 12, "rows": 9, "original": 40}
    cuts = Cuts(ROLE, 300, 9_000, back, 3_000, {"logs": 260, "json": 30, "rows": 10})
    found = only(Facts(cuts=(cuts,)))
    assert "`json`" in found.text
    assert (found.evidence["retrieved_of_worst"], found.evidence["cuts_of_worst"]) == (12, 30)
    few = replace(cuts, by_strategy={"logs": SOME - 1, "json": SOME - 1})
    assert "`original`" in only(Facts(cuts=(few,))).text
    assert "cuts_of_worst" not in only(Facts(cuts=(few,))).evidence


def test_a_fifth_of_the_cuts_may_be_wanted_back() -> None:
    assert recommend(Facts(cuts=(Cuts(ROLE, 40, 9_000, {"logs": 8}, 3_000),))) == ()
    assert recommend(Facts(cuts=(Cuts(ROLE, SOME - 1, 9_000, {"logs": 15}, 3_000),))) == ()


def test_a_budget_that_is_often_missed_needs_another_level() -> None:
    contexts = Contexts(ROLE, tasks=50, condensed=40, before=800_000, after=400_000, missed=20, missed_after=300_000)
    policies = {ROLE: RolePolicy(10_000)}
    found = only(Facts(contexts=(contexts,), policies=policies))
    assert (found.code, found.saves_tokens) == ("tighten-level", 100_000)
    assert found.command == "cca tokens policy set backend --max-tokens 10000 --level strong"
    for other in (replace(contexts, missed=12), replace(contexts, condensed=SOME - 1)):
        assert recommend(Facts(contexts=(other,), policies=policies)) == ()
    assert recommend(Facts(contexts=(contexts,), policies={ROLE: RolePolicy(10_000, level="strong")})) == ()


# ------------------------------------------------------------------------------------------- caches

AGAIN = Used(ROLE, "a", "", "m", attempts=50, input=1_000_000, output=10_000, cache_read=0, resent=800_000)


def test_input_that_is_sent_again_is_to_be_cached() -> None:
    found = only(Facts(used=(replace(AGAIN, cost_usd=1.05),)))
    assert (found.code, found.saves_tokens) == ("cache-prefix", 720_000)
    assert found.saves_usd == pytest.approx(0.72)
    assert "80% of the input had been sent before, 0% came from a cache" in found.text


@pytest.mark.parametrize(
    "change",
    [{"attempts": 49}, {"resent": 299_999}, {"input": 790_000, "cache_read": 210_000}, {"attempts": 1_000}],
)
def test_input_that_is_new_or_cached_or_short_is_no_matter(change: dict[str, int]) -> None:
    assert recommend(Facts(used=(replace(AGAIN, **change),))) == ()


def test_the_same_context_in_many_tasks_is_to_be_given_once() -> None:
    shared = Shared(ROLE, "k" * 20, tasks=11, tokens=4_000)
    found = only(Facts(shared=(shared,)))
    assert (found.code, found.saves_tokens, found.evidence["repeated_tokens"]) == ("share-context", 36_000, 40_000)
    assert "ctx:" + "k" * 20 in found.text
    assert recommend(Facts(shared=(replace(shared, tasks=9), replace(shared, tokens=499)))) == ()
    less, elsewhere = replace(shared, ref="l" * 20, tasks=10), replace(shared, role="docs")
    found, other = recommend(Facts(shared=(less, shared, elsewhere)))
    assert (found.subject, found.evidence["such_texts"], other.subject) == ("role:backend", 2, "role:docs")
    fresh = replace(AGAIN, resent=0, input=80_000)
    assert codes(Facts(used=(fresh,), shared=(shared,))) == ["cache-prefix", "share-context"]


# ------------------------------------------------------------------------------------------- attempts


def test_a_lane_that_fails_often_is_named() -> None:
    lanes = (
        Used(ROLE, "opus", "review", "m", attempts=15, failed=5, failed_tokens=40_000, output=100_000, cost_usd=10),
        Used(ROLE, "opus", "fix", "m", attempts=15, failed=5, failed_tokens=10_000, output=100_000),
        Used(ROLE, "haiku", attempts=30, failed=5, failed_tokens=15_000, output=100_000),
    )
    found = only(Facts(used=lanes))
    assert (found.code, found.subject, found.saves_tokens) == ("failed-attempts", "lane:backend/opus", 20_000)
    assert found.evidence == {"attempts": 30, "failed": 10, "failed_tokens": 50_000, "tokens": 200_000, "share": 0.25}
    assert found.saves_usd == 1.0
    assert recommend(Facts(used=lanes[:1])) == ()


DEAR = Used(ROLE, "a", "review", "opus", attempts=100, failed=10, output=900_000, cost_usd=90.0)
CHEAP = Used(ROLE, "b", "review", "haiku", attempts=100, failed=10, output=450_000, cost_usd=9.0)


def test_a_cheaper_model_that_is_as_good_is_to_do_more() -> None:
    found = only(Facts(used=(DEAR, CHEAP)))
    assert (found.code, found.subject) == ("cheaper-model", "model:opus")
    assert found.saves_usd == pytest.approx(81.0)
    assert found.saves_tokens == 450_000
    assert found.evidence["usd_per_success"] == 1.0 and found.evidence["other_usd_per_success"] == 0.1


@pytest.mark.parametrize(
    "other",
    [
        replace(CHEAP, failed=16),
        replace(CHEAP, attempts=29, failed=0),
        replace(CHEAP, attempts=30, failed=3),  # as good, but it is not certain yet
        replace(CHEAP, cost_usd=80.0),
        replace(CHEAP, cost_usd=0.0),
        replace(CHEAP, kind="fix"),
        replace(CHEAP, role="docs"),
        replace(CHEAP, model=""),
    ],
)
def test_a_model_that_is_worse_or_dear_or_hardly_known_is_not(other: Used) -> None:
    assert "cheaper-model" not in codes(Facts(used=(DEAR, other)))


def test_of_several_the_cheapest_is_named() -> None:
    assert "nano" in only(Facts(used=(DEAR, CHEAP, replace(CHEAP, model="nano", cost_usd=8.0)))).text


def test_a_request_that_hardly_fits_is_a_risk() -> None:
    used = Used(ROLE, "a", "", "anthropic/claude-sonnet-4", attempts=20, output=10, peak=170_000)
    found = only(Facts(used=(used,)))
    assert (found.code, found.severity, found.saves_tokens) == ("peak-context", "low", 0)
    assert "85% of its window" in found.text
    assert only(Facts(used=(replace(used, peak=195_000),))).severity == "medium"
    for other in ({"peak": 159_000}, {"peak": 300_000}, {"attempts": 19}, {"model": "unheard-of"}):
        assert recommend(Facts(used=(replace(used, **other),))) == ()


# ------------------------------------------------------------------------------------------- all

numbers = st.integers(0, 10**6) | st.integers(0, 2**63 - 1)
shares = st.floats(0, 1)
names = st.sampled_from(["", ROLE, "docs"]) | st.text(max_size=5)
models = st.sampled_from(["", "claude-sonnet-4", "gpt-5", "x"])


@st.composite
def uses(draw: st.DrawFn) -> Used:
    attempts = draw(st.integers(0, 200))
    failed = draw(st.integers(0, attempts))
    sums = ("failed_tokens", "input", "output", "cache_read", "cache_write", "peak", "resent")
    rest: dict[str, Any] = {name: draw(numbers) for name in sums} | {"cost_usd": draw(st.floats(0, 1e10))}
    return Used(draw(names), draw(names), draw(names), draw(models), attempts, failed, **rest)


counts = st.integers(0, 200)
facts = st.builds(
    Facts,
    st.lists(uses(), max_size=8).map(tuple),
    st.lists(
        st.builds(
            Contexts, names, counts, numbers, counts, numbers, numbers, counts, numbers, st.none() | shares, counts
        ),
        max_size=3,
    ).map(tuple),
    st.lists(
        st.builds(
            Cuts,
            names,
            numbers,
            numbers,
            st.dictionaries(names, numbers, max_size=2),
            numbers,
            st.dictionaries(names, numbers, max_size=2),
        ),
        max_size=3,
    ).map(tuple),
    st.lists(st.builds(Shared, names, names, counts, numbers), max_size=3).map(tuple),
    st.dictionaries(names, st.builds(RolePolicy, st.integers(1, 10_000_000)), max_size=2),
)


@given(facts)
@settings(max_examples=300, deadline=None)
def test_advice_is_finite_sorted_and_the_same_each_time(facts: Facts) -> None:
    found = recommend(facts)
    assert recommend(facts) == found
    assert [one.saves_tokens for one in found] == sorted((one.saves_tokens for one in found), reverse=True)
    for one in found:
        assert one.saves_tokens >= 0 and one.saves_usd >= 0 and isfinite(one.saves_usd)
        assert all(isfinite(number) for number in one.evidence.values()) and one.evidence
        assert one.text.endswith(".") and ":" in one.subject
    reply = Recommendations(found, 0, 0, 0.0)
    assert codec.read(codec.encode(reply), Recommendations) == reply


def few(one: Used) -> Used:
    return replace(one, attempts=min(one.attempts, SOME - 1), failed=min(one.failed, SOME - 1))


@given(facts)
@settings(max_examples=200, deadline=None)
def test_on_little_data_nothing_is_recommended(facts: Facts) -> None:
    little = replace(
        facts,
        used=tuple({(one.role, one.lane, one.kind, one.model): few(one) for one in facts.used[:1]}.values()),
        contexts=tuple(
            replace(one, tasks=min(one.tasks, SOME - 1), condensed=min(one.condensed, SOME - 1))
            for one in facts.contexts
        ),
        cuts=tuple(replace(one, cuts=min(one.cuts, SOME - 1)) for one in facts.cuts),
        shared=tuple(replace(one, tasks=min(one.tasks, 9)) for one in facts.shared),
    )
    assert recommend(little) == ()


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_nothing_known_nothing_said(rule: Callable[[Facts], object]) -> None:
    assert list(rule(Facts())) == []  # type: ignore[call-overload]  # a generator, seen as an object here


def test_a_rate_lies_between_its_bounds() -> None:
    assert wilson(0, 0) == (0.0, 1.0)
    low, high = wilson(81, 263)
    assert (round(low, 4), round(high, 4)) == (0.2553, 0.3662)  # Newcombe 1998, table I
    assert wilson(0, 10)[0] == 0.0 and wilson(10, 10)[1] == 1.0


def test_sums_are_sums_and_the_peak_is_the_highest() -> None:
    one, two = Used("a", attempts=1, input=2, peak=5), Used("b", attempts=2, cost_usd=1.5, peak=3)
    assert together([one, two], role="c") == Used("c", attempts=3, input=2, cost_usd=1.5, peak=5)
    assert msgspec.to_builtins(together([])) == msgspec.to_builtins(Used())
