"""Whether what the gateway needs answers at present: NATS, PostgreSQL and the router."""

import asyncio
from collections.abc import Awaitable
from typing import Literal

from msgspec import Struct

from cca import codec
from cca.contracts.agent import ListAgents
from cca.errors import CcaError
from cca.nats import subjects
from cca.nats.bus import Bus
from cca.postgres.tables import Tables

PATIENCE = 2.0
"""Seconds that a component has to answer."""
WELL = 5.0
"""Seconds between probes while everything answers."""
ILL = 0.5
"""Seconds between probes while something does not: it may be there any moment."""


class Check(Struct, frozen=True, omit_defaults=True):
    """Whether one component answers; `reason` when not."""

    ok: bool
    reason: str | None = None


class Readiness(Struct, frozen=True, omit_defaults=True):
    """`degraded` when a component does not answer. `checks` is for those with a key."""

    status: Literal["ready", "degraded"]
    checks: dict[str, Check] = {}


def age(found: Readiness) -> float:
    """For how many seconds a finding holds."""
    return WELL if found.status == "ready" else ILL


async def probe(bus: Bus, tables: Tables) -> Readiness:
    """Ask every component now."""
    names = ("nats", "postgres", "router")
    question = codec.encode(ListAgents())
    checks = await asyncio.gather(
        _check(bus.flush()),
        _check(tables.rows("SELECT 1")),
        _check(bus.request(subjects.RPC_AGENTS, question, timeout=PATIENCE)),
    )
    well = all(check.ok for check in checks)
    return Readiness("ready" if well else "degraded", dict(zip(names, checks, strict=True)))


async def _check(answer: Awaitable[object]) -> Check:
    try:
        async with asyncio.timeout(PATIENCE):
            await answer
    except CcaError as error:
        return Check(False, str(error))
    except TimeoutError:
        return Check(False, f"no answer within {PATIENCE:g} s")
    return Check(True)
