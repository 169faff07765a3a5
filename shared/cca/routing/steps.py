"""What is learned from: routing decisions of tasks, and what became of each."""

from typing import Literal

from msgspec import Struct

from cca.routing.features import Features

Ending = Literal["completed", "failed", "timeout", "lost", "censored"]
"""How a decision ended. `censored`: canceled, routed elsewhere before anyone began, or the task itself was at fault;
it says nothing about the lane."""


class Option(Struct, frozen=True):
    """A lane that could have been chosen: its key (`role/lane`), its probability, its load (quantised)."""

    lane: str
    probability: float
    load: int = 0
    mean: float | None = None


class Step(Struct, frozen=True):
    """One routing decision, and its outcome as far as it is known.

    Attributes:
        task, route: name the decision.
        position: of `task.routed` in the log. It orders steps, and says which bucket of time they belong to.
        time: of the decision, seconds since the epoch.
        lane: the key of the lane that was chosen, `role/lane`.
        x: the task's features as the policy saw them.
        load: of the chosen lane when it was chosen, quantised.
        options: the candidates that were not masked, the chosen one among them.
        propensity: probability of the choice.
        policy, version: what decided.
        explored: it was not the best guess.
        kind, requester: of the task.
        ending: None while it is not known.
        latency_s: from the decision to its end.
        duration_s: that the attempt ran, as its worker says.
        tokens, cost_usd: of the attempt.
        quality: the last rating of the task, if the outcome is of this decision.
        in_time: whether the task's deadline was met; None without a deadline or while it is open.
    """

    task: str
    route: int
    position: int
    time: float
    lane: str
    x: Features
    load: int
    options: tuple[Option, ...]
    propensity: float
    policy: str
    version: int = 0
    explored: bool = False
    kind: str | None = None
    requester: str | None = None
    ending: Ending | None = None
    latency_s: float = 0.0
    duration_s: float = 0.0
    tokens: int | None = None
    cost_usd: float | None = None
    quality: float | None = None
    in_time: bool | None = None

    @property
    def known(self) -> bool:
        """It has an outcome that says something about the lane."""
        return self.ending is not None and self.ending != "censored"

    @property
    def role(self) -> str:
        return self.lane.partition("/")[0]
