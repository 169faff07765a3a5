"""The log on JetStream keeps the same promises as the one in memory."""

from collections.abc import Awaitable, Callable

import pytest

from cca.config import NatsSettings
from cca.nats import setup
from cca.nats.bus import connect
from cca.nats.log import JetStreamLog
from cca.testing.log_contract import CONTRACT, UnderTest


@pytest.mark.parametrize("batch_from", [0, 1, 12], ids=["never in batches", "always in batches", "as configured"])
@pytest.mark.parametrize("holds", CONTRACT, ids=lambda promise: str(promise.__name__))
async def test_the_jetstream_log_keeps_the_contract(
    nats: NatsSettings, holds: Callable[[UnderTest], Awaitable[None]], batch_from: int
) -> None:
    async with connect(nats, "test") as bus:
        await setup.ensure(bus)
        log = JetStreamLog(bus, batch_from)

        async def stored(subject: str) -> list[bytes]:
            return [raw.body async for raw in log.scan(subject)]

        await holds(UnderTest(log, stored))
