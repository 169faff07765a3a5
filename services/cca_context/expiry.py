"""Values whose time has passed: a timer of the log fires, the log is told, and the bucket."""

import asyncio
import logging
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial

from cca import codec
from cca.context.scopes import key_name
from cca.contracts.context import ContextDue
from cca.dead import Letter
from cca.errors import CcaError, Refused, Unreadable
from cca.ids import uuid7
from cca.message import Meta
from cca.nats import names, setup, streams, subjects
from cca.nats.bus import Bus
from cca.nats.dead import DeadLetters
from cca.nats.pull import Delivery, Pull
from cca_context.context_decide import due
from cca_context.kv import Keys

logger = logging.getLogger("cca_context")

AT_ONCE = 64
"""Timers that are handled at the same time."""
AGAIN_S = 1.0
"""A timer that cannot be handled now comes again after this."""


class Expiry:
    """Pulls timers that have fired; of several instances each gets some."""

    def __init__(self, bus: Bus, keys: Keys) -> None:
        self._bus, self._keys, self._dead = bus, keys, DeadLetters(bus)
        self._at_work: set[asyncio.Task[None]] = set()
        self._pulling: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin."""
        self._pulling = asyncio.create_task(self._pull())

    async def stop(self) -> None:
        """Take no more, and finish those that came."""
        if self._pulling is not None:
            self._pulling.cancel()
            with suppress(asyncio.CancelledError):
                await self._pulling
        if self._at_work:
            await asyncio.wait(self._at_work, timeout=5)

    async def _pull(self) -> None:
        consumer = streams.CONTEXT_DUE_CONSUMER
        while True:
            try:
                await setup.ensure_consumer(self._bus, names.EVENTS, consumer)
                pull = await Pull.start(self._bus, names.EVENTS, str(consumer.durable_name), self._on_delivery, AT_ONCE)
                try:
                    await pull.ended.wait()  # by itself only when somebody has deleted the consumer
                finally:
                    await pull.stop()
            except CcaError as error:
                logger.warning("values do not expire in the log: %s; trying again", error)
            await asyncio.sleep(AGAIN_S)

    def _on_delivery(self, delivery: Delivery) -> None:
        task = asyncio.get_running_loop().create_task(self._fire(delivery))
        self._at_work.add(task)
        task.add_done_callback(self._at_work.discard)

    async def _fire(self, delivery: Delivery) -> None:
        """A timer that is due, on `cca.due.context.<kind>.<name>.<key>`."""
        try:
            command = codec.read(delivery.body, ContextDue)
            name = key_name(command.scope, command.key)
            if delivery.subject != subjects.context_due(name):
                raise Unreadable(f"a timer of {name} fires on {delivery.subject}")
            meta = Meta(id=uuid7(), source=self._bus.name, time=datetime.now(UTC))
            kept = await self._keys.change(
                command.scope, command.key, partial(due, command, meta.time), meta, await self._keys.sure(name)
            )
            if kept.live(datetime.now(UTC)):
                # It fired too early by our clock, or in place of another's.
                await self._keys.arm(command.scope, command.key, kept)
            delivery.ack()
        except (Unreadable, Refused) as error:
            letter = Letter(subject=delivery.subject, headers=delivery.headers, body=delivery.body)
            try:
                await self._dead.put("context", str(error), letter)
                delivery.term(str(error))
            except CcaError:
                delivery.nak(AGAIN_S)
        except CcaError as error:
            logger.warning("a timer waits: %s", error)
            delivery.nak(AGAIN_S)
        except Exception:
            logger.exception("a timer failed")
            delivery.nak(5.0)
