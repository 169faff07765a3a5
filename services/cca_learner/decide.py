"""The aggregate `routing`: what is configured, which version decides, and what may become of both."""

from collections.abc import Callable, Collection, Iterable
from typing import assert_never, cast, get_args

from msgspec import Struct
from msgspec.structs import replace

from cca.contracts.learner import ConfigurePolicy, RunShadow, Shadow
from cca.contracts.policy import (
    ROUTING,
    Algorithm,
    Params,
    PolicyConfigured,
    PolicyEvent,
    PolicyUpdated,
    ShadowStarted,
    ShadowStopped,
    VocabularyGrown,
)
from cca.decider import Decision, Fold
from cca.errors import Refused
from cca.message import Event, Stream
from cca.routing.features import BASE, Vocabulary
from cca.storable import text_without_nul

STREAM = Stream("policy", ROUTING)
NOTHING = Decision()
LIVE: tuple[Algorithm, ...] = get_args(Algorithm)
"""What can decide; of other algorithms it can only be told how they would."""
ERAS = 1_000
"""How many of the newest eras are remembered."""


class Era(Struct, frozen=True):
    """Under what the versions from `version` on were made, until the next era."""

    version: int
    algorithm: Algorithm
    params: Params
    vocabulary: tuple[str, ...]


class Policy(Struct, frozen=True):
    """What is remembered of the policy.

    Attributes:
        version, position, digest, decisions: of the newest version; version 0 before there is one.
        settled: the newest version was made under what is configured and known by name now.
        shadow: the candidate that is tried beside it.
        eras: under what each version was made, oldest first.
    """

    algorithm: Algorithm = "linear-pm"
    params: Params = Params()
    vocabulary: tuple[str, ...] = BASE
    version: int = 0
    position: int = 0
    digest: str = ""
    decisions: int = 0
    settled: bool = False
    shadow: ShadowStarted | None = None
    eras: tuple[Era, ...] = ()

    def era_of(self, version: int) -> Era | None:
        """Under what a version was made; None when that is forgotten, or when there is no such version."""
        if version > self.version:
            return None
        return next((era for era in reversed(self.eras) if era.version <= version), None)


class Made(Struct, frozen=True):
    """A version that could be: what it was made of, and under what."""

    algorithm: Algorithm
    params: Params
    vocabulary: tuple[str, ...]
    position: int
    digest: str
    decisions: int


def evolve(policy: Policy, event: PolicyEvent) -> Policy:
    """The policy after an event."""
    match event:  # a new event in the union is a type error at the bottom
        case PolicyConfigured():
            return replace(policy, algorithm=event.algorithm, params=event.params, settled=False)
        case VocabularyGrown():
            new = tuple(name for name in event.names if name not in policy.vocabulary)
            return replace(policy, vocabulary=policy.vocabulary + new, settled=False)
        case PolicyUpdated():
            eras = policy.eras
            if not policy.settled:
                eras = (*eras[1 - ERAS :], Era(event.version, policy.algorithm, policy.params, policy.vocabulary))
            return replace(
                policy,
                version=event.version,
                position=event.position,
                digest=event.digest,
                decisions=event.decisions,
                settled=True,
                eras=eras,
            )
        case ShadowStarted():
            return replace(policy, shadow=event)
        case ShadowStopped():
            return replace(policy, shadow=None)
    assert_never(event)


POLICY: Fold[Policy] = Fold(Policy(), cast("Callable[[Policy, Event], Policy]", evolve))


# ------------------------------------------------------------------------------------------ decisions


def configure(command: ConfigurePolicy, policy: Policy) -> Decision:
    """Change what is asked for; what is so already changes nothing. Raises `Refused` (`bad-params`)."""
    algorithm, params = command.algorithm or policy.algorithm, command.params or policy.params
    _sensible(params)
    if (algorithm, params) == (policy.algorithm, policy.params):
        return NOTHING
    return Decision((PolicyConfigured(ROUTING, algorithm, params, text_without_nul(command.reason), _who(command)),))


def grow(names: Iterable[str], policy: Policy) -> Decision:
    """Let the model know further features, as far as their fields have room."""
    grown = Vocabulary(policy.vocabulary).grown(names).names[len(policy.vocabulary) :]
    return Decision((VocabularyGrown(ROUTING, grown),)) if grown else NOTHING


def updated(made: Made, least: int, policy: Policy) -> Decision:
    """A new version; none when it was made under what does not hold any longer.

    Args:
        least: a version that routers may have. It is above ours when the log is an older copy of itself.
    """
    now = (policy.algorithm, policy.params, policy.vocabulary)
    if (made.algorithm, made.params, made.vocabulary) != now:
        return NOTHING
    version = max(policy.version, least) + 1
    return Decision((PolicyUpdated(ROUTING, version, made.position, made.algorithm, made.digest, made.decisions),))


def shadow(command: RunShadow, position: int, known: Collection[str], policy: Policy) -> Decision:
    """Start or stop to try a candidate; starting another one ends the first.

    Args:
        position: of the last event that was read: its decisions are compared from there on.
        known: the algorithms that can be tried.

    Raises `Refused` (`unknown-algorithm`, `bad-params`).
    """
    if command.verb == "stop" and policy.shadow is not None:
        return Decision((ShadowStopped(ROUTING, "asked for"),))
    if command.verb != "start":
        return NOTHING
    if command.algorithm is None:
        raise Refused("bad-params", f"say which algorithm is to be tried: {_listed(known)}")
    if command.algorithm not in known:
        text = f"there is no algorithm {command.algorithm!r}; there are {_listed(known)}"
        raise Refused("unknown-algorithm", text)
    if command.algorithm == policy.algorithm:
        raise Refused("bad-params", f"{command.algorithm} decides already; try another: {_listed(known)}")
    if command.promote and command.algorithm not in LIVE:
        raise Refused("bad-params", f"{command.algorithm} cannot decide live, so it cannot take over: leave `promote`")
    now = policy.shadow
    if now is not None and (now.algorithm, now.promote) == (command.algorithm, command.promote):
        return NOTHING
    start = ShadowStarted(ROUTING, command.algorithm, position, command.promote, _who(command))
    return Decision((start,) if now is None else (ShadowStopped(ROUTING, f"{command.algorithm} is tried now"), start))


def promote(found: Shadow, policy: Policy) -> Decision:
    """Let the candidate take over when it is certainly better and was to do so; it is tried no longer then.

    Args:
        found: the comparison; its `promote` says that it is certain enough.
    """
    tried = policy.shadow
    if tried is None or not tried.promote or not found.promote:
        return NOTHING
    algorithm = next((name for name in LIVE if name == tried.algorithm), None)
    if (tried.algorithm, tried.position) != (found.algorithm, found.position) or algorithm is None:
        return NOTHING
    reason = f"shadow {found.algorithm}, over {found.decisions} decisions: {found.verdict}"
    taken_over = PolicyConfigured(ROUTING, algorithm, policy.params, reason, tried.requester)
    return Decision((taken_over, ShadowStopped(ROUTING, "it decides now")))


# ------------------------------------------------------------------------------------------ parts


def _sensible(params: Params) -> None:
    """What the range of one parameter cannot say. Raises `Refused`."""
    reward = params.reward
    weights = (reward.success, reward.quality, reward.latency, reward.tokens, reward.money, reward.deadline)
    if not any(weights):
        raise Refused("bad-params", "`reward`: with all weights 0 nothing is better than anything else")


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))


def _who(command: ConfigurePolicy | RunShadow) -> str | None:
    return None if command.requester is None else text_without_nul(command.requester)
