"""Create what is declared in `streams`, and change what differs."""

import asyncio
import logging
from dataclasses import fields
from typing import Any

from nats.errors import Error as NatsError
from nats.js import JetStreamContext
from nats.js.api import ConsumerConfig, StreamConfig
from nats.js.errors import APIError, NotFoundError

from cca.errors import Busy, Misconfigured
from cca.nats import names, streams
from cca.nats.bus import Bus

logger = logging.getLogger("cca.nats")

_FIXED = {"retention", "storage", "deny_delete", "deny_purge"}
"""What the server does not let anyone change on a living stream."""


async def ensure(bus: Bus, replicas: int = 1) -> None:
    """Make streams and the consumers of services as declared. Raises `Busy`, or `Misconfigured` for what is fixed."""
    js = bus.nc.jetstream(timeout=10)
    for attempt in range(1, 21):
        try:
            for stream in streams.declared(replicas):
                await _ensure_stream(js, stream)
            await ensure_consumer(bus, names.TASKS, streams.INTAKE_CONSUMER)
            await ensure_consumer(bus, names.EVENTS, streams.DUE_CONSUMER)
            await ensure_consumer(bus, names.EVENTS, streams.CONTEXT_DUE_CONSUMER)
            return
        except (TimeoutError, NatsError, OSError, Busy) as error:
            # JetStream may still be recovering its store.
            if isinstance(error, APIError) and error.code == 400:
                raise Misconfigured(f"JetStream refuses a declared stream: {error.description}") from None
            if attempt == 20:
                raise Busy(f"JetStream is not available: {error}") from None
            await asyncio.sleep(0.25)


async def _ensure_stream(js: JetStreamContext, wanted: StreamConfig) -> None:
    assert wanted.name
    try:
        found = (await js.stream_info(wanted.name)).config
    except NotFoundError:
        await js.add_stream(wanted)
        logger.info("created stream %s", wanted.name)
        return
    changed = difference(wanted, found)
    if not changed:
        return
    if fixed := _FIXED & set(changed):
        raise Misconfigured(f"stream {wanted.name}: {', '.join(sorted(fixed))} cannot be changed in place")
    await js.update_stream(wanted)
    logger.info("updated stream %s: %s", wanted.name, ", ".join(changed))


async def sizes(bus: Bus) -> dict[str, tuple[int, int] | None]:
    """How many messages and bytes each declared stream holds; None for one that is not there. Raises `Busy`."""
    js = bus.nc.jetstream(timeout=5)
    found: dict[str, tuple[int, int] | None] = {}
    for stream in streams.declared():
        name = str(stream.name)
        try:
            state = (await js.stream_info(name)).state
            found[name] = (state.messages, state.bytes)
        except NotFoundError:
            found[name] = None
        except (NatsError, TimeoutError) as error:
            raise Busy(f"JetStream says nothing of stream {name}: {error or 'no answer'}") from None
    return found


def difference(wanted: StreamConfig, found: StreamConfig) -> list[str]:
    """The names of the settings that we declare and that the server has otherwise."""
    changed: list[str] = []
    for field in fields(wanted):
        ours, theirs = getattr(wanted, field.name), getattr(found, field.name, None)
        if field.name == "metadata":
            theirs = {key: value for key, value in (theirs or {}).items() if not key.startswith("_nats.")}
        if ours is not None and ours != theirs and (ours or theirs):
            changed.append(field.name)
    return changed


async def ensure_consumer(bus: Bus, stream: str, config: ConsumerConfig) -> None:
    """Make a durable consumer as declared, or leave it if it is."""
    js = bus.nc.jetstream(timeout=10)
    try:
        await js.add_consumer(stream, config)
    except (TimeoutError, NatsError, OSError) as error:
        raise Busy(f"consumer {config.durable_name} cannot be made: {error}") from None


async def consumer_lag(bus: Bus, stream: str, consumer: str) -> tuple[int, int]:
    """How many messages wait for a consumer, and how many are out and not acknowledged."""
    info: Any = await bus.nc.jetstream(timeout=5).consumer_info(stream, consumer)
    return int(info.num_pending), int(info.num_ack_pending)
