"""`python -m cca_gateway`: everything that the gateway listens to is the table in `cca_gateway.routes`."""

import logging
from contextlib import AsyncExitStack

import msgspec

from cca.config import Settings
from cca.nats.bus import Bus
from cca.nats.micro import Service
from cca.postgres.tables import connect
from cca.service import run
from cca_gateway import auth, documents, openapi
from cca_gateway.edge import Edge
from cca_gateway.gateway import Gateway
from cca_gateway.routes import ROUTES
from cca_gateway.server import listening

logger = logging.getLogger("cca_gateway")


async def start(settings: Settings, service: Service, bus: Bus, stack: AsyncExitStack) -> None:
    edge = Edge(await prepare(settings, bus, stack), ROUTES)
    port = await stack.enter_async_context(listening(edge, settings.http.host, settings.http.port))
    stack.callback(edge.gateway.close)  # the first thing at the end: whoever waits is told
    logger.info("listening on http://%s:%d", settings.http.host, port)


async def prepare(settings: Settings, bus: Bus, stack: AsyncExitStack) -> Gateway:
    """What the handlers share. Raises `Misconfigured` when nobody could be let in."""
    keys = auth.keyring(settings.http)
    gateway = Gateway(bus, keys, await stack.enter_async_context(connect(settings.postgres, "cca_gateway")))
    document = openapi.document()
    gateway.openapi, gateway.docs = msgspec.json.encode(document), documents.html(document)
    return gateway


if __name__ == "__main__":
    run("cca_gateway", "HTTP in, commands and queries out.", start)
