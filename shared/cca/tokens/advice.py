"""What would save tokens, derived from what was spent; each with the numbers that speak for it.

Nothing is recommended on little data: each rule names how much it needs. What rules promise cannot be added up, because
the same tokens may be saved in two ways; each promise is on the low side by itself.
"""

import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import groupby
from math import ceil
from typing import Literal

from msgspec.structs import replace

from cca.contracts.ledger import Recommendation, RolePolicy
from cca.contracts.tokens import Level
from cca.tokens.ledger import CACHE_READ, Contexts, Cuts, Facts, Used, together, wilson

SOME = 20
"""Tasks, attempts, compressed contexts or cuts of a kind, below which nothing is said of them."""
LARGE = 2_000
"""Tokens of a context from which on it may be worth compressing."""
WORTH = 0.15
"""Share of a role's contexts that compression must save."""
WANTED_BACK = 0.2
"""Share of the cuts that may be expanded again before folding them was a mistake …"""
CALL = 200
"""… and tokens of the request and the answer around a piece that is fetched."""
MISSED = 0.3
"""Share of compressed contexts that may still be over their budget."""
MANY, UNCACHED, REPEATED, PREFIX = 50, 0.2, 0.3, 1_024
"""Attempts; share of cached input; share of input that was sent before; tokens that providers cache at least."""
COPIES, COPY = 10, 500
"""Tasks with the same context, and its tokens, from which on it should not be sent with each."""
WASTED = 0.15
"""Share of a lane's tokens that may go into attempts that fail."""
ENOUGH, CHEAPER = 30, 0.8
"""Attempts with each of two models before they are compared; what the other may cost at most, of the one."""
NEAR, CLOSE = 0.8, 0.95
"""Shares of a model's window."""

MOST = 2**63 - 1
"""Tokens that a reply can name."""

Severity = Literal["low", "medium", "high"]
_NEXT: dict[str, Level] = {"lossless": "safe", "safe": "strong"}


def recommend(facts: Facts) -> tuple[Recommendation, ...]:
    """What would save tokens, most first."""
    everything = together(facts.used)
    found = [_weighed(one, everything) for rule in RULES for one in rule(facts)]
    return tuple(sorted(found, key=lambda one: (-one.saves_tokens, -one.saves_usd, one.code, one.subject, one.text)))


def to_measure(facts: Facts) -> tuple[str, ...]:
    """The roles whose contexts are large and not compressed, those with the most tokens first: it is worth to measure
    what compression would save of them."""
    roles = [one for one in facts.contexts if _is_large(facts, one)]
    return tuple(one.role for one in sorted(roles, key=lambda one: (-one.tokens, one.role)))


def compress_context(facts: Facts) -> Iterator[Recommendation]:
    """Large contexts that are not compressed, of which a sample shows that they could be.

    Where nothing was sampled, what was saved of other roles' contexts is expected of these, too.
    """
    seen = _whole(facts.contexts)
    usual = 1 - seen.after / seen.before if seen.condensed >= SOME and seen.before > 0 else None
    for one in facts.contexts:
        share = usual if one.potential is None else one.potential
        if not _is_large(facts, one) or share is None or share < WORTH:
            continue
        mean = one.tokens / one.tasks
        share = min(share, 1.0)
        saves = int(one.tokens * share)
        budget = min(max(ceil(mean * (1 - share) / 100) * 100, 500), 10_000_000)
        why = f"a sample of {one.sampled}" if one.potential is not None else "what was saved for other roles"
        yield Recommendation(
            code="compress-context",
            subject=f"role:{one.role}",
            text=f"Compress the contexts of role {one.role}: they have {mean:,.0f} tokens on average, and {why} says "
            f"that {share:.0%} of that can go.",
            evidence=_numbers(tasks=one.tasks, mean_tokens=mean, potential=share, sampled=one.sampled),
            saves_tokens=saves,
            saves_usd=saves * _of_role(facts, one.role).input_price,
            command=_set(one.role, RolePolicy(budget)),
        )


def loosen_policy(facts: Facts) -> Iterator[Recommendation]:
    """Much of what was folded is fetched again: each time a request more, and the piece is paid for all the same."""
    for one in facts.cuts:
        back = sum(one.retrieved.values())
        if one.cuts < SOME or back <= WANTED_BACK * one.cuts:
            continue
        worst = _worst(one)
        known = {"cuts_of_worst": one.by_strategy[worst]} if worst in one.by_strategy else {}
        policy = facts.policy(one.role)
        yield Recommendation(
            code="loosen-policy",
            subject=f"role:{one.role}",
            text=f"Fold less for role {one.role}: {back:,} of {one.cuts:,} cuts were expanded again, most often those "
            f"of `{worst}`.",
            evidence=_numbers(
                cuts=one.cuts,
                retrieved=back,
                rate=back / one.cuts,
                retrieved_tokens=one.retrieved_tokens,
                saved_tokens=one.saved,
                retrieved_of_worst=one.retrieved[worst],
                **known,
            ),
            saves_tokens=back * CALL,
            saves_usd=back * CALL * _of_role(facts, one.role).input_price,
            command=_set(one.role, replace(policy, max_tokens=min(policy.max_tokens * 3 // 2, 10_000_000)))
            if policy is not None
            else "",
        )


def tighten_level(facts: Facts) -> Iterator[Recommendation]:
    """Contexts are over their budget after compression, too, and it could go further."""
    for one in facts.contexts:
        policy = facts.policy(one.role)
        if policy is None or policy.level not in _NEXT:
            continue
        if one.condensed < SOME or one.missed <= MISSED * one.condensed:
            continue
        saves = max(one.missed_after - one.missed * policy.max_tokens, 0)
        level = _NEXT[policy.level]
        yield Recommendation(
            code="tighten-level",
            subject=f"role:{one.role}",
            text=f"Compress the contexts of role {one.role} at level `{level}`, or give them more room: at level "
            f"`{policy.level}` {one.missed:,} of {one.condensed:,} stayed over {policy.max_tokens:,} tokens.",
            evidence=_numbers(
                condensed=one.condensed,
                missed=one.missed,
                rate=one.missed / one.condensed,
                max_tokens=policy.max_tokens,
                missed_tokens=one.missed_after,
            ),
            saves_tokens=saves,
            saves_usd=saves * _of_role(facts, one.role).input_price,
            command=_set(one.role, replace(policy, level=level)),
        )


def cache_prefix(facts: Facts) -> Iterator[Recommendation]:
    """Input is sent again and again, and hardly any of it comes from a cache. A cached token costs a tenth."""
    copies: dict[str, int] = {}
    for shared in facts.shared:
        copies[shared.role] = copies.get(shared.role, 0) + shared.again
    for one in _by(facts.used, "role", "model"):
        if one.attempts < MANY or one.given < PREFIX * one.attempts or one.cache_read >= UNCACHED * one.given:
            continue
        in_role = _of_role(facts, one.role).attempts
        again = max(one.resent, int(copies.get(one.role, 0) * one.attempts / max(in_role, 1)))
        again = min(again, one.given)
        if again < REPEATED * one.given:
            continue
        saves = int(max(again - one.cache_read, 0) * (1 - CACHE_READ))
        yield Recommendation(
            code="cache-prefix",
            subject=f"role:{one.role}",
            text=f"Let the provider cache what requests of role {one.role} to {one.model or 'its model'} begin with: "
            f"{again / one.given:.0%} of the input had been sent before, {one.cache_read / one.given:.0%} came from a "
            "cache.",
            evidence=_numbers(
                attempts=one.attempts, input_tokens=one.given, cache_read_tokens=one.cache_read, sent_before=again
            ),
            saves_tokens=saves,
            saves_usd=saves * one.input_price,
        )


def share_context(facts: Facts) -> Iterator[Recommendation]:
    """Many tasks bring the same text. Of several texts of a role the one that is worth most is named."""
    worth = [one for one in facts.shared if one.tasks >= COPIES and one.tokens >= COPY]
    worth.sort(key=lambda one: (one.role, -one.again, one.ref))
    for role, group in groupby(worth, key=lambda one: one.role):
        texts = list(group)
        one = texts[0]
        saves = int(one.again * (1 - CACHE_READ))
        yield Recommendation(
            code="share-context",
            subject=f"role:{role}",
            text=f"Give the agents of role {role} once what {one.tasks:,} tasks had as their context, some "
            f"{one.tokens:,} tokens (ctx:{one.ref}): in their instructions a cache can hold it.",
            evidence=_numbers(tasks=one.tasks, tokens=one.tokens, repeated_tokens=one.again, such_texts=len(texts)),
            saves_tokens=saves,
            saves_usd=saves * _of_role(facts, role).input_price,
        )


def failed_attempts(facts: Facts) -> Iterator[Recommendation]:
    """A lane uses a good part of its tokens for attempts that fail. What is above `WASTED` is promised."""
    for one in _by(facts.used, "role", "lane"):
        if one.attempts < SOME or one.failed_tokens <= WASTED * one.tokens:
            continue
        share = one.failed_tokens / one.tokens
        saves = int(one.failed_tokens - WASTED * one.tokens)
        yield Recommendation(
            code="failed-attempts",
            subject=f"lane:{one.role}/{one.lane}",
            text=f"Look at why attempts in lane {one.role}/{one.lane} fail: {one.failed:,} of {one.attempts:,} did, "
            f"and took {share:.0%} of its tokens.",
            evidence=_numbers(
                attempts=one.attempts,
                failed=one.failed,
                failed_tokens=one.failed_tokens,
                tokens=one.tokens,
                share=share,
            ),
            saves_tokens=saves,
            saves_usd=one.cost_usd * saves / one.tokens,
            command=f"cca task list --role {one.role} --state failed",
        )


def cheaper_model(facts: Facts) -> Iterator[Recommendation]:
    """The same sort of task is done by two models, and the one that costs less per success does not fail more often:
    the lower bound of its rate (Wilson, 95 %) is not under the other's."""
    sorts = _by((one for one in facts.used if one.model and one.cost_usd > 0), "role", "kind", "model")
    for (role, kind), models in groupby(sorts, key=lambda one: (one.role, one.kind)):
        known = [one for one in models if one.attempts >= ENOUGH and one.attempts > one.failed]
        for dear in known:
            good = [one for one in known if _price(one) <= CHEAPER * _price(dear) and _is_as_good(one, dear)]
            if not good:
                continue
            other = min(good, key=lambda one: (_price(one), one.model))
            done = dear.attempts - dear.failed
            of_kind = f"tasks of kind {kind}" if kind else "tasks"
            yield Recommendation(
                code="cheaper-model",
                subject=f"model:{dear.model}",
                text=f"Let {other.model} do more of the {of_kind} of role {role} in place of {dear.model}: "
                f"${_price(other):.4f} a success in place of ${_price(dear):.4f}, and it fails no more often.",
                evidence=_numbers(
                    attempts=dear.attempts,
                    success=done / dear.attempts,
                    usd_per_success=_price(dear),
                    other_attempts=other.attempts,
                    other_success=1 - other.failed / other.attempts,
                    other_usd_per_success=_price(other),
                ),
                saves_tokens=max(int(dear.tokens - other.tokens / (other.attempts - other.failed) * done), 0),
                saves_usd=(_price(dear) - _price(other)) * done,
            )


def peak_context(facts: Facts) -> Iterator[Recommendation]:
    """Requests come near to what the model takes at once: a little more, and attempts fail. This saves nothing."""
    for one in _by(facts.used, "role", "model"):
        window = facts.window(one.model)
        if window is None or one.attempts < SOME or not NEAR * window <= one.peak <= window:
            continue  # a larger one shows that the window is not the one that we know of
        share = one.peak / window
        yield Recommendation(
            code="peak-context",
            subject=f"role:{one.role}",
            text=f"Keep the contexts of role {one.role} smaller, or take a model with a larger window: a request to "
            f"{one.model} had {one.peak:,} tokens, {share:.0%} of its window.",
            evidence=_numbers(attempts=one.attempts, peak_tokens=one.peak, window=window, share=share),
            saves_tokens=0,
            severity="medium" if share >= CLOSE else "low",
        )


Rule = Callable[[Facts], Iterator[Recommendation]]

RULES: tuple[Rule, ...] = (
    compress_context,
    loosen_policy,
    tighten_level,
    cache_prefix,
    share_context,
    failed_attempts,
    cheaper_model,
    peak_context,
)


# ------------------------------------------------------------------------------------------ parts


def _is_large(facts: Facts, one: Contexts) -> bool:
    large = one.tasks >= SOME and one.tokens >= LARGE * one.tasks
    return large and bool(one.role) and facts.policy(one.role) is None


def _worst(one: Cuts) -> str:
    """The strategy whose cuts are expanded most often: for each cut, where there are enough of them; else in all."""
    enough = {name: cuts for name, cuts in one.by_strategy.items() if cuts >= SOME and name in one.retrieved}
    often: Mapping[str, float] = {name: one.retrieved[name] / cuts for name, cuts in enough.items()} or one.retrieved
    return min(often, key=lambda name: (-often[name], name))


def _set(role: str, policy: RolePolicy) -> str:
    """The command that sets a policy."""
    words = [role, "--max-tokens", str(policy.max_tokens)]
    words += ["--level", policy.level] if policy.level != _DEFAULT.level else []
    words += ["--model", policy.model] if policy.model != _DEFAULT.model else []
    words += [word for name in policy.strategies or () for word in ("--strategy", name)]
    return "cca tokens policy set " + shlex.join(words)


_DEFAULT = RolePolicy(1)


def _whole(contexts: Iterable[Contexts]) -> Contexts:
    condensed = before = after = 0
    for one in contexts:
        condensed, before, after = condensed + one.condensed, before + one.before, after + one.after
    return Contexts("", condensed=condensed, before=before, after=after)


def _of_role(facts: Facts, role: str) -> Used:
    return together((one for one in facts.used if one.role == role), role=role)


def _by(used: Iterable[Used], *names: str) -> list[Used]:
    """Added up by some of role, lane, kind and model, and in their order."""

    def key(one: Used) -> tuple[str, ...]:
        return tuple(getattr(one, name) for name in names)

    groups = groupby(sorted(used, key=key), key=key)
    return [together(group, **dict(zip(names, values, strict=True))) for values, group in groups]


def _price(one: Used) -> float:
    """USD that a success costs, with all failures on the way to it."""
    return one.cost_usd / (one.attempts - one.failed)


def _is_as_good(one: Used, other: Used) -> bool:
    return (
        wilson(one.attempts - one.failed, one.attempts)[0] >= wilson(other.attempts - other.failed, other.attempts)[0]
    )


def _numbers(**numbers: float) -> dict[str, float]:
    return {name: round(float(number), 6) for name, number in numbers.items()}


def _weighed(one: Recommendation, everything: Used) -> Recommendation:
    """With how much it matters, measured by all that was spent."""
    shares = [one.saves_tokens / everything.tokens] if everything.tokens else []
    shares += [one.saves_usd / everything.cost_usd] if everything.cost_usd > 0 else []
    share = max(shares, default=0.0)
    severity: Severity = "high" if share >= 0.1 else "medium" if share >= 0.02 else one.severity
    return replace(one, severity=severity, saves_tokens=min(one.saves_tokens, MOST))
