"""The policy that decides: read from the bucket, swapped when a newer version comes, put to rest when it misbehaves."""

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from cca import codec
from cca.contracts.policy import PolicySnapshot
from cca.errors import Busy
from cca.nats import names, stored, subjects
from cca.nats.bus import Bus
from cca.nats.wire import Msg
from cca.routing.algorithms import policy_of
from cca.routing.features import Vocabulary
from cca.routing.policy import Case, Judgement, LaneLoad, Policy
from cca_router.facts import FALLBACK, Routing

logger = logging.getLogger("cca_router.policies")

SLOW_S = 0.002
"""A judgement may take so many seconds of this thread's time: a machine that is busy otherwise is not its fault."""
IN_A_ROW = 3
"""So many judgements in a row that were slow or failed, and the policy rests."""
REST_S = 10.0
"""For so many seconds the least loaded lane is taken then."""


class Watch:
    """Whether judgements come, and in time.

    Args:
        clock: seconds that pass; when a policy may decide again is said in them.
        spent: seconds that this thread has worked.
    """

    def __init__(
        self, clock: Callable[[], float] = time.monotonic, spent: Callable[[], float] = time.thread_time
    ) -> None:
        self._clock, self.spent = clock, spent
        self._in_a_row = 0
        self._rests_until: float | None = None

    def resting(self) -> bool:
        """Whether the policy rests."""
        if self._rests_until is None:
            return False
        if self._clock() >= self._rests_until:
            self._rests_until, self._in_a_row = None, 0
            return False
        return True

    def good(self) -> None:
        """A judgement was as it should be."""
        self._in_a_row = 0

    def another(self) -> None:
        """Another policy decides from now on."""
        self._in_a_row, self._rests_until = 0, None

    def bad(self, policy: str, what: str) -> None:
        """A judgement was slow, or there is none."""
        self._in_a_row += 1
        logger.warning("policy %s %s (%d in a row)", policy, what, self._in_a_row)
        if self._in_a_row >= IN_A_ROW:
            self._rests_until = self._clock() + REST_S
            logger.error("policy %s rests for %g s; %s decides", policy, REST_S, FALLBACK.name)


class Watched:
    """A policy under watch. What it raises goes on; probabilities that are none are an error as well."""

    def __init__(self, policy: Policy, watch: Watch) -> None:
        self._policy, self._watch = policy, watch
        self.name = policy.name

    def judge(self, case: Case, lanes: Sequence[LaneLoad]) -> Judgement:
        begun = self._watch.spent()
        try:
            judged = self._policy.judge(case, lanes)
            chances = judged.probabilities
            if len(chances) != len(lanes) or not (abs(sum(chances) - 1) < 1e-6 and min(chances) >= 0):
                raise ArithmeticError(f"{list(chances)} are no probabilities of {len(lanes)} lanes")
        except Exception as error:
            self._watch.bad(self.name, f"has failed: {error!r}")
            raise
        took = self._watch.spent() - begun
        if took > SLOW_S:
            self._watch.bad(self.name, f"took {took * 1e3:.1f} ms for {len(lanes)} lanes")
        else:
            self._watch.good()
        return judged


class Policies:
    """The newest version that could be read; none at first.

    Args:
        changed: called when another version decides from now on.
        spawn: runs a coroutine in the background, and waits for it at the end.
    """

    def __init__(
        self,
        bus: Bus,
        changed: Callable[[], None],
        spawn: Callable[[Coroutine[Any, Any, None]], None],
        watch: Watch | None = None,
    ) -> None:
        self._bus, self._changed, self._spawn = bus, changed, spawn
        self._watch = watch or Watch()
        self._newest = Routing()
        self._fallback = Routing()
        self._waiting: bytes | None = None
        self._reading = False
        bus.reconnected.append(self._look_again)

    def routing(self) -> Routing:
        """How lanes are chosen now."""
        return self._fallback if self._watch.resting() else self._newest

    async def start(self) -> None:
        """Read the version that decides. Raises `Busy`."""
        noted = await stored.last(self._bus, f"KV_{names.STATE}", subjects.POLICY)
        if noted is not None:
            await self._read(noted.body)

    def on_policy(self, msg: Msg) -> None:
        """`$KV.CCA_STATE.policy.routing`: a version was put into the bucket."""
        self._waiting = msg.data
        if not self._reading:
            self._reading = True
            self._spawn(self._read_waiting())

    async def _read_waiting(self) -> None:
        """Read what came; of several that came meanwhile, only the last."""
        try:
            while (body := self._waiting) is not None:
                self._waiting = None
                await self._read(body)
        finally:
            self._reading = False

    async def _read(self, body: bytes) -> None:
        try:
            # In a thread: many lanes with many features take milliseconds, and decisions go on.
            routing = await asyncio.to_thread(self._made, body)
        except Exception as error:  # whatever is wrong with it: the version before goes on deciding
            logger.error("a routing policy cannot be used, version %d stays: %r", self._newest.version, error)
            return
        if routing.version <= self._newest.version:
            return
        if routing.policy.name != self._newest.policy.name:
            logger.info("from version %d on routing is decided by %s", routing.version, routing.policy.name)
            self._watch.another()
        self._newest = routing
        self._fallback = Routing(FALLBACK, 0, routing.slots, routing.summaries, routing.params)
        self._changed()

    def _made(self, body: bytes) -> Routing:
        snapshot = codec.read(body, PolicySnapshot)
        return Routing(
            policy=Watched(policy_of(snapshot), self._watch),
            version=snapshot.version,
            slots=Vocabulary(snapshot.vocabulary).slots(),
            summaries=snapshot.lanes,
            params=snapshot.params,
        )

    def _look_again(self) -> None:
        """After a reconnect: versions may have been missed."""
        self._spawn(self._start_again())

    async def _start_again(self) -> None:
        try:
            await self.start()
        except Busy as error:
            logger.warning("whether there is a newer routing policy is not known: %s", error)
