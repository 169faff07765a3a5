"""What a decision needs to know besides the task itself."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

from msgspec import Struct, field

from cca.contracts.policy import LaneSummary, Params
from cca.routing.features import Vocabulary
from cca.routing.policy import LaneLoad, Policy
from cca.routing.simple import LeastLoaded

AUTO = "auto"
"""The role of a task for which the router chooses among the live roles."""
FALLBACK = LeastLoaded()
"""Decides where no other policy can."""
BASE_SLOTS: Mapping[str, int] = Vocabulary().slots()


class LaneHealth(Struct, frozen=True):
    """How it stands with a lane that has lately failed or asked for a pause.

    Attributes:
        failures: attempts that failed there in a row.
        rests_until: it failed too often and is passed over until then; after that one task tries it.
        trying: the task that tries it.
        limited_until: its provider asked not to be called before.
    """

    failures: int = 0
    rests_until: datetime | None = None
    trying: str | None = None
    limited_until: datetime | None = None


class Routing(Struct, frozen=True):
    """How lanes are chosen now: one version of the policy, and what came with it.

    Attributes:
        policy: chooses.
        version: of the learned policy; 0 when there is none.
        slots: the features that it knows, with their places in its vectors.
        summaries: what is known of lanes, by `role/lane`.
        params: what is configured.
    """

    policy: Policy = FALLBACK
    version: int = 0
    slots: Mapping[str, int] = field(default_factory=lambda: BASE_SLOTS)
    summaries: dict[str, LaneSummary] = {}
    params: Params = Params()


class Facts(Struct, frozen=True):
    """The world, as one decision sees it.

    Attributes:
        now: the time, aware, UTC.
        lanes: the live lanes of a role with their load; of every role, for `auto`.
        routing: how one of them is chosen.
        health: lanes that have lately failed or asked for a pause, by `role/lane`.
        turn: how many routing decisions were made before this one.
    """

    now: datetime
    lanes: Callable[[str], Sequence[LaneLoad]]
    routing: Routing = Routing()
    health: Mapping[str, LaneHealth] = {}
    turn: int = 0
