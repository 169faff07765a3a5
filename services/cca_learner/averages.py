"""Moving averages of lanes and of live agents, over their attempts in the order of the log."""

from msgspec import Struct

from cca.contracts.learner import Average
from cca.contracts.task import Usage

GONE = 1_000
"""How many of those who left last are remembered: what is still said of their attempts is not theirs any more."""


class Moving(Struct):
    """Averages that move: each attempt pulls them towards itself."""

    attempts: int = 0
    success: float = 0.0
    duration_s: float = 0.0
    tokens: float = 0.0
    cost_usd: float = 0.0
    told: int = 0

    def add(self, alpha: float, success: bool, duration_s: float, usage: Usage | None) -> None:
        """Count an attempt. The first one sets the averages; tokens and money move when they are told."""
        alpha_now = alpha if self.attempts else 1.0
        self.attempts += 1
        self.success += alpha_now * (success - self.success)
        self.duration_s += alpha_now * (duration_s - self.duration_s)
        if usage is not None:
            alpha_now = alpha if self.told else 1.0
            self.told += 1
            self.tokens += alpha_now * (usage.input_tokens + usage.output_tokens - self.tokens)
            self.cost_usd += alpha_now * (usage.cost_usd - self.cost_usd)

    def average(self) -> Average:
        if not self.told:
            return Average(self.attempts, self.success, self.duration_s)
        return Average(self.attempts, self.success, self.duration_s, self.tokens, self.cost_usd)


class Workloads:
    """What lanes and live agents have done, newest attempts weighing most. Who is gone is forgotten."""

    def __init__(self, alpha: float) -> None:
        self._alpha = alpha
        self._lanes: dict[str, Moving] = {}
        self._agents: dict[str, Moving] = {}
        self._gone: dict[str, None] = {}

    def ended(self, agent: str, lane: str | None, success: bool, duration_s: float, usage: Usage | None) -> None:
        """An attempt of an agent has ended, in a lane (`role/lane`) if that is known."""
        if lane is not None:
            self._of(self._lanes, lane).add(self._alpha, success, duration_s, usage)
        if agent not in self._gone:
            self._of(self._agents, agent).add(self._alpha, success, duration_s, usage)

    def joined(self, agent: str) -> None:
        self._gone.pop(agent, None)

    def left(self, agent: str) -> None:
        self._agents.pop(agent, None)
        self._gone.pop(agent, None)
        self._gone[agent] = None
        if len(self._gone) > GONE:
            del self._gone[next(iter(self._gone))]

    def lanes(self) -> dict[str, Average]:
        return {name: moving.average() for name, moving in sorted(self._lanes.items())}

    def agents(self) -> dict[str, Average]:
        return {name: moving.average() for name, moving in sorted(self._agents.items())}

    def _of(self, moving: dict[str, Moving], name: str) -> Moving:
        found = moving.get(name)
        if found is None:
            found = moving[name] = Moving()
        return found
