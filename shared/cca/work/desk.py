"""Asking the router, and other services, on behalf of one agent."""

import asyncio
import logging
import threading
from typing import TypeVar

from cca.errors import Busy
from cca.message import Command, Reply
from cca.nats import subjects
from cca.nats.bus import Bus
from cca.work.pump import Backoff

logger = logging.getLogger("cca.worker")

FIRST_TIMEOUT_S, LONGEST_TIMEOUT_S = 3.0, 20.0
SERVICE_TIMEOUT_S = 20.0
"""How long another service has to answer, and how long it is asked again while it is away."""

R = TypeVar("R", bound=Reply)


class Desk:
    """The router's desk for one agent: asks until it is answered, however long the router is away."""

    def __init__(self, bus: Bus, role: str, agent: str) -> None:
        self.bus, self.role, self.agent = bus, role, agent
        self.loop = asyncio.get_running_loop()
        self.thread = threading.get_ident()
        self._subjects = {
            verb: subjects.report(role, agent, verb)
            for verb in ("join", "heartbeat", "leave", "claim", "complete", "fail", "progress")
        }

    async def ask(self, verb: str, command: Command, kind: type[R], timeout_s: float = 5.0) -> R:
        """Ask once. Raises `Busy`, `Refused` or `Unreadable`."""
        return await self.bus.ask(self._subjects[verb], command, kind, timeout_s)

    async def insist(self, verb: str, command: Command, kind: type[R]) -> R:
        """Ask until there is an answer. Raises `Refused` or `Unreadable`."""
        backoff, timeout_s, tries = Backoff(), FIRST_TIMEOUT_S, 0
        while True:
            try:
                return await self.ask(verb, command, kind, timeout_s)
            except Busy as error:
                tries += 1
                if tries in (3, 30, 300):
                    logger.warning("the router does not answer (%s); trying again", error)
                timeout_s = min(timeout_s * 2, LONGEST_TIMEOUT_S)
                await backoff.wait()

    async def ask_service(self, subject: str, command: Command, kind: type[R]) -> R:
        """Ask a service that the worker can do without. Raises `Busy` when it is away, `Refused`, `Unreadable`."""
        backoff, until = Backoff(), self.loop.time() + SERVICE_TIMEOUT_S
        while True:
            try:
                return await self.bus.ask(subject, command, kind, SERVICE_TIMEOUT_S)
            except Busy:
                if self.loop.time() >= until:
                    raise
            await backoff.wait()
