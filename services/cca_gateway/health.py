"""Whether the process lives, whether what it needs answers, and numbers for those who watch."""

from typing import Literal

import msgspec
from aiohttp import web
from msgspec import Struct

from cca_gateway.call import Call
from cca_gateway.gateway import Gateway
from cca_gateway.metrics import MEDIA_TYPE
from cca_gateway.probes import Readiness


class Status(Struct, frozen=True):
    """The process answers."""

    status: Literal["alive"]


_encode = msgspec.json.Encoder().encode
_ALIVE = _encode(Status("alive"))


async def live(gateway: Gateway, call: Call) -> web.Response:
    """The process answers."""
    return call.answer(_ALIVE)


async def ready(gateway: Gateway, call: Call) -> web.Response:
    """What the last probe found; there is one every few seconds, however many ask."""
    found = await gateway.readiness.get()
    shown = found if call.known else Readiness(found.status)
    status = 200 if found.status == "ready" else 503
    return call.answer(_encode(shown), status, {"Retry-After": "5"} if status == 503 else None)


async def metrics(gateway: Gateway, call: Call) -> web.Response:
    """Prometheus' text format. The numbers are some seconds old at most, however many ask; they hold no task, agent or
    requester. While the tables cannot be read, there are `cca_tables_up 0` and the state of their circuit breaker."""
    return call.answer(await gateway.metrics.get(), media_type=MEDIA_TYPE)
