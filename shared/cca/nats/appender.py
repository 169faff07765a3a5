"""Group commit: appends that wait together leave as one atomic batch; a lone one goes out at once (ADR 0003)."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from itertools import count
from typing import Any

import msgspec

from cca.errors import Busy, Conflict, Refused
from cca.ids import uuid7
from cca.message import Seq
from cca.nats.bus import Bus
from cca.nats.frames import Frame, Group, PubAck, rejection
from cca.nats.wire import Msg

_ack = msgspec.json.Decoder(PubAck).decode

BATCH_LIMIT = 1_000
"""The server's limit of messages in one atomic batch."""
HEADROOM = 1_024
"""What the headers of a batch and of an expectation add to a message, and more."""
BATCH_BYTES = 4 * 1024 * 1024
"""A batch is closed when its bodies have more bytes than this."""
TIMEOUT = 10.0
"""Seconds after which the outcome of a publish is taken to be unknown."""


class Uncertain(Busy):
    """The answer of the log was lost: what was sent may or may not be stored."""


Waiting = tuple[Group, asyncio.Future[Seq]]
Resolve = Callable[[Group, Exception], Awaitable[Seq | None]]


class Appender:
    """Sends groups of messages to a stream, each in order, all or (outside a batch) from its beginning.

    Args:
        batch_from: so many waiting messages make a batch worth its price; 0 for never.
        resolve: asks the log what became of a group whose answer was lost; returns its last position, or None
            after changing the group to what is still to be sent; raises `Conflict`.
    """

    def __init__(self, bus: Bus, batch_from: int, resolve: Resolve) -> None:
        self._bus, self._batch_from, self._resolve = bus, batch_from, resolve
        self._waiting: deque[Waiting] = deque()
        self._waiting_frames = 0
        self._single_frames = 0
        self._batches = 0
        self._scheduled = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop = asyncio.get_running_loop()
        self._prefix, self._number = uuid7()[-12:], count()
        self.commits = 0
        """How many commits (batches or single groups) were made, for measurement."""

    def append(self, group: Group) -> asyncio.Future[Seq]:
        """Store a group; the future has the position of its last event, or `Conflict`, `Busy` or `Refused`."""
        done: asyncio.Future[Seq] = self._loop.create_future()
        largest = max(len(frame.head) + len(frame.body) for frame in group.frames)
        if largest > self._bus.nc.max_payload - HEADROOM:
            # The server would close the connection for good (NATS.md, trap 4).
            done.set_exception(Refused("too-large", f"{largest} bytes are too many for one message of the log"))
            return done
        self._waiting.append((group, done))
        self._waiting_frames += len(group.frames)
        if not self._scheduled:
            # At the end of this turn of the loop, so that what arrived together leaves together.
            self._scheduled = True
            self._loop.call_soon(self._pump)
        return done

    def _pump(self) -> None:
        self._scheduled = False
        while self._waiting and self._batches < 1:
            if self._batch_from and self._waiting_frames + self._single_frames >= self._batch_from:
                if self._single_frames and self._waiting_frames < self._batch_from:
                    return  # a few are on their way; when they are back, what waits may be a batch
                taken = self._take(BATCH_LIMIT)
                self._batches += 1
                self._spawn(self._batch(taken))
            else:
                for group, done in self._take(BATCH_LIMIT):
                    self._single_frames += len(group.frames)
                    self._spawn(self._single(group, done))

    def _take(self, limit: int) -> list[Waiting]:
        """What goes next. Of an aggregate that waits twice the second stays: its expectation is the first's result,
        and inside one batch the server would not check it."""
        taken: list[Waiting] = []
        again: list[Waiting] = []
        subjects: set[str] = set()
        frames = 0
        size = 0
        while self._waiting and (not taken or frames + len(self._waiting[0][0].frames) <= limit):
            if size > BATCH_BYTES:
                break
            item = self._waiting.popleft()
            if item[0].subject in subjects:
                again.append(item)
                continue
            subjects.add(item[0].subject)
            taken.append(item)
            frames += len(item[0].frames)
            size += sum(len(frame.body) for frame in item[0].frames)
        self._waiting.extendleft(reversed(again))
        self._waiting_frames -= frames
        return taken

    def _spawn(self, coroutine: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # ------------------------------------------------------------------------------------ one by one

    async def _single(self, group: Group, done: asyncio.Future[Seq]) -> None:
        size = len(group.frames)
        try:
            _settle(done, await self._chain(group))
        except Exception as error:
            _fail(done, error)
        finally:
            self._single_frames -= size
            self._pump()

    async def _chain(self, group: Group) -> Seq:
        """Send the frames one after the other; only an event carries the expectation, and moves it."""
        self.commits += 1
        while True:
            try:
                after = group.after
                for frame in group.frames:
                    expected = after if frame.is_event else None
                    ack = await self._send(frame, expected)
                    if ack.error is not None:
                        raise rejection(ack, frame.subject, after)
                    if frame.is_event:
                        after = Seq(ack.seq)
                return after
            except (Uncertain, Conflict) as error:
                # A conflict may be with our own first try, whose answer was lost.
                position = await self._resolve(group, error)
                if position is not None:
                    return position

    async def _send(self, frame: Frame, expected: Seq | None) -> PubAck:
        lines = "" if expected is None else f"Nats-Expected-Last-Subject-Sequence: {expected}\r\n"
        head = f"NATS/1.0\r\n{lines}{frame.head}\r\n".encode()
        return await self._publish(lambda reply: self._bus.nc.write(frame.subject, frame.body, reply, head))

    async def _publish(self, send: Callable[[str], None]) -> PubAck:
        answer: asyncio.Future[PubAck] = self._loop.create_future()

        def on_reply(msg: Msg | None) -> None:
            if answer.done():
                return
            if msg is None:
                answer.set_exception(Uncertain("the connection to NATS was lost during an append"))
            elif msg.status:
                answer.set_exception(Uncertain("the log is not available"))
            else:
                answer.set_result(_ack(msg.data))

        def expire() -> None:
            if not answer.done():
                answer.set_exception(Uncertain(f"no answer from the log within {TIMEOUT:g} s"))

        reply = self._bus.expect(on_reply)
        timer = self._loop.call_later(TIMEOUT, expire)
        try:
            send(reply)
            return await answer
        finally:
            timer.cancel()
            self._bus.forget(reply)

    # ------------------------------------------------------------------------------------ together

    async def _batch(self, taken: list[Waiting]) -> None:
        try:
            await self._commit(taken)
        finally:
            self._batches -= 1
            self._pump()

    async def _commit(self, taken: list[Waiting]) -> None:
        if len(taken) == 1 and len(taken[0][0].frames) < 4:
            await self._alone(taken)
            return
        self.commits += 1
        frames, ends = batch_frames([group for group, _ in taken], f"{self._prefix}{next(self._number)}")
        try:
            ack = await self._publish(lambda reply: self._bus.nc.write_frames(frames(reply)))
        except Exception:  # whatever it was, each group finds out for itself
            await self._alone(taken, unsure=True)
            return
        if ack.error is None:
            first = ack.seq - ack.count
            for (_, done), end in zip(taken, ends, strict=True):
                _settle(done, Seq(first + end))
        elif len(taken) == 1:
            await self._alone(taken)
        else:
            # One expectation failed, and the server does not say which: the halves decide for themselves.
            middle = len(taken) // 2
            await self._commit(taken[:middle])
            await self._commit(taken[middle:])

    async def _alone(self, taken: list[Waiting], unsure: bool = False) -> None:
        async def one(group: Group, done: asyncio.Future[Seq]) -> None:
            try:
                position = await self._resolve(group, Uncertain()) if unsure else None
                _settle(done, await self._chain(group) if position is None else position)
            except Exception as error:
                _fail(done, error)

        await asyncio.gather(*(one(group, done) for group, done in taken))

    async def drain(self) -> None:
        """Wait for everything that was handed in."""
        while self._waiting or self._tasks:
            await asyncio.wait(set(self._tasks), timeout=1) if self._tasks else await asyncio.sleep(0)


def batch_frames(groups: list[Group], batch: str) -> tuple[Callable[[str], bytes], list[int]]:
    """The frames of an atomic batch (ADR-50), given the reply subject; and where each group ends in it, from 1."""
    messages = [(frame, group.after) for group in groups for frame in group.frames]
    seen: set[str] = set()
    parts: list[tuple[str, str, bytes]] = []
    for number, (frame, after) in enumerate(messages, 1):
        lines = f"NATS/1.0\r\nNats-Batch-Id: {batch}\r\nNats-Batch-Sequence: {number}\r\n"
        if number == len(messages):
            lines += "Nats-Batch-Commit: 1\r\n"
        if frame.is_event and frame.subject not in seen:  # the server wants one expectation per subject
            seen.add(frame.subject)
            lines += f"Nats-Expected-Last-Subject-Sequence: {after}\r\n"
        parts.append((frame.subject, f"{lines}{frame.head}\r\n", frame.body))

    def render(reply: str) -> bytes:
        out: list[bytes] = []
        last = len(parts) - 1
        for index, (subject, lines, body) in enumerate(parts):
            head = lines.encode()
            to = f"{subject} {reply}" if index == last else subject
            out.append(f"HPUB {to} {len(head)} {len(head) + len(body)}\r\n".encode())
            out.append(head)
            out.append(body)
            out.append(b"\r\n")
        return b"".join(out)

    ends, end = [], 0
    for group in groups:
        end += len(group.frames)
        ends.append(end)
    return render, ends


def _settle(done: asyncio.Future[Seq], seq: Seq) -> None:
    if not done.done():  # the asker may have gone
        done.set_result(seq)


def _fail(done: asyncio.Future[Seq], error: Exception) -> None:
    if not done.done():
        done.set_exception(error)
