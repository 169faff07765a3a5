"""Request/reply endpoints that `nats micro ls|info|stats` shows (ADR-32 of NATS), handled concurrently.

nats-py's own micro module calls the handlers of an endpoint one after the other; ours start a task each.
"""

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any, TypeVar

from msgspec import Struct

from cca import __version__, codec, telemetry
from cca.errors import Busy, CcaError, Refused
from cca.ids import uuid7
from cca.message import Command, Meta, Reply
from cca.nats.bus import Bus, Subscribed, error_headers
from cca.nats.frames import rfc3339
from cca.nats.wire import Msg

logger = logging.getLogger("cca.rpc")

C = TypeVar("C", bound=Command)


class Endpoint(Struct):
    """What is known of one endpoint, and its statistics."""

    name: str
    subject: str
    queue_group: str
    metadata: dict[str, str]
    num_requests: int = 0
    num_errors: int = 0
    last_error: str = ""
    processing_time: int = 0

    @property
    def average_processing_time(self) -> int:
        return self.processing_time // self.num_requests if self.num_requests else 0


class Service:
    """A named group of endpoints on one connection. Several processes may serve the same name; each request goes
    to one of them."""

    def __init__(self, bus: Bus, name: str, description: str) -> None:
        self._bus, self.name, self.description = bus, name, description
        self.id = uuid7()
        self.started = datetime.now(UTC)
        self.endpoints: list[Endpoint] = []
        self._subscriptions: list[Subscribed] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop = asyncio.get_running_loop()

    async def start(self) -> None:
        """Answer discovery: `$SRV.PING`, `$SRV.INFO` and `$SRV.STATS`, for all, by name and by id."""
        for verb, answer in (("PING", self._ping), ("INFO", self._info), ("STATS", self._stats)):
            for suffix in ("", f".{self.name}", f".{self.name}.{self.id}"):

                def reply(msg: Msg, answer: Callable[[], dict[str, Any]] = answer) -> None:
                    self._bus.publish(msg.reply, json.dumps(answer()).encode())

                self._subscriptions.append(await self._bus.subscribe(f"$SRV.{verb}{suffix}", reply))

    async def serve(
        self,
        subject: str,
        kind: type[C],
        handle: Callable[[C, Meta], Awaitable[Reply]],
        answer: type[Reply],
        check: Callable[[bytes], None] | None = None,
    ) -> None:
        """Answer commands on a subject. What `handle` raises is said to the asker; the unforeseen is also logged.

        Args:
            check: raises for a body that is not even to be decoded.
        """
        endpoint = Endpoint(
            name=subject.removeprefix("cca.rpc.").replace(".", "-"),
            subject=subject,
            queue_group=self.name,
            metadata={"schema.request": codec.tag_of(kind), "schema.response": codec.tag_of(answer)},
        )
        self.endpoints.append(endpoint)

        def on_message(msg: Msg) -> None:
            task = self._loop.create_task(self._answer(endpoint, msg, kind, handle, check))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

        self._subscriptions.append(await self._bus.subscribe(subject, on_message, queue=self.name))

    async def _answer(
        self,
        endpoint: Endpoint,
        msg: Msg,
        kind: type[C],
        handle: Callable[[C, Meta], Awaitable[Reply]],
        check: Callable[[bytes], None] | None,
    ) -> None:
        begun = self._loop.time()
        endpoint.num_requests += 1
        headers: dict[str, str] | None = None
        body = b""
        try:
            if check is not None:
                check(msg.data)
            body = codec.encode(await handle(codec.read(msg.data, kind), asked(msg, self.name)))
            if len(body) > self._bus.nc.max_payload:
                # The server would close the connection for good (NATS.md, trap 4).
                size, body = len(body), b""
                raise Refused("too-large", f"the answer is {size:,} bytes: too many for one message")
        except Exception as error:
            known = error if isinstance(error, CcaError) else Busy("something unforeseen happened; it is logged")
            if known is not error:
                logger.exception("%s failed", endpoint.subject)
            endpoint.num_errors += 1
            endpoint.last_error = str(known)[:200]
            headers = error_headers(known)
        endpoint.processing_time += int((self._loop.time() - begun) * 1e9)
        if msg.reply:
            try:
                self._bus.publish(msg.reply, body, headers)
            except Busy as error:
                logger.warning("an answer on %s could not be sent: %s", endpoint.subject, error)

    async def stop(self) -> None:
        """Take no more requests, and finish those that came."""
        for subscription in self._subscriptions:
            await subscription.unsubscribe()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=5)

    # ------------------------------------------------------------------------------------ discovery

    def _about(self, kind: str) -> dict[str, Any]:
        return {
            "type": f"io.nats.micro.v1.{kind}_response",
            "name": self.name,
            "id": self.id,
            "version": __version__,
            "metadata": {},
        }

    def _ping(self) -> dict[str, Any]:
        return self._about("ping")

    def _info(self) -> dict[str, Any]:
        endpoints = [
            {"name": e.name, "subject": e.subject, "queue_group": e.queue_group, "metadata": e.metadata}
            for e in self.endpoints
        ]
        return self._about("info") | {"description": self.description, "endpoints": endpoints}

    def _stats(self) -> dict[str, Any]:
        endpoints = [
            {
                "name": e.name,
                "subject": e.subject,
                "queue_group": e.queue_group,
                "num_requests": e.num_requests,
                "num_errors": e.num_errors,
                "last_error": e.last_error,
                "processing_time": e.processing_time,
                "average_processing_time": e.average_processing_time,
            }
            for e in self.endpoints
        ]
        return self._about("stats") | {"started": rfc3339(self.started), "endpoints": endpoints}


def asked(msg: Msg, source: str) -> Meta:
    """What is known of a request that `source` answers: its trace context when it brought one."""
    trace = msg.headers.get("traceparent") if msg.raw else None
    return Meta(id=uuid7(), source=source, time=datetime.now(UTC), trace=telemetry.trace_of(trace))
