"""Group commit: appends that wait together leave as one atomic batch; a lone one goes out at once (ADR 0003)."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from itertools import count
from typing import Any

from cca.errors import Conflict, Refused
from cca.ids import uuid7
from cca.message import Seq
from cca.nats.bus import Bus
from cca.nats.chain import Chain, Ended, Uncertain, read_ack
from cca.nats.frames import Group, PubAck
from cca.nats.wire import Msg

BATCH_LIMIT = 1_000
"""The server's limit of messages in one atomic batch."""
HEADROOM = 1_024
"""What the headers of a batch and of an expectation add to a message, and more."""
BATCH_BYTES = 4 * 1024 * 1024
"""A batch is closed when its bodies have more bytes than this."""
TIMEOUT = 10.0
"""Seconds after which the outcome of a publish is taken to be unknown."""


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
        self._chains: set[Chain] = set()
        self._sweeping = False
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
                    self._single(group, done)

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

    def _single(self, group: Group, done: asyncio.Future[Seq]) -> None:
        size = len(group.frames)
        self._single_frames += size

        def ended(chain: Chain, seq: Seq | None, error: Exception | None) -> None:
            self._chains.discard(chain)
            self._single_frames -= size
            if seq is not None:
                _settle(done, seq)
            else:
                assert error is not None
                self._spawn(self._again(group, done, error))
            if self._waiting and not self._scheduled:
                self._scheduled = True
                self._loop.call_soon(self._pump)

        self._start(group, ended)

    def _start(self, group: Group, ended: Ended) -> None:
        self.commits += 1
        chain = Chain(self._bus, group, self._loop.time() + TIMEOUT, ended)
        self._chains.add(chain)
        if not self._sweeping:
            self._sweeping = True
            self._loop.call_later(1.0, self._sweep)
        chain.send()

    def _sweep(self) -> None:
        """One timer for all chains, not one for each."""
        now = self._loop.time()
        for chain in [chain for chain in self._chains if chain.deadline < now]:
            chain.expire()
        self._sweeping = bool(self._chains)
        if self._sweeping:
            self._loop.call_later(1.0, self._sweep)

    async def _again(self, group: Group, done: asyncio.Future[Seq], error: Exception) -> None:
        """After a failure: find out what is stored, and send the rest, until it is clear how it ended."""
        try:
            while True:
                if not isinstance(error, Uncertain | Conflict):
                    raise error
                # A conflict may be with our own first try, whose answer was lost.
                seq = await self._resolve(group, error)
                if seq is None:
                    seq, failure = await self._attempt(group)
                    error = failure or error
                if seq is not None:
                    _settle(done, seq)
                    return
        except Exception as final:
            _fail(done, final)

    async def _attempt(self, group: Group) -> tuple[Seq | None, Exception | None]:
        result: asyncio.Future[tuple[Seq | None, Exception | None]] = self._loop.create_future()

        def ended(chain: Chain, seq: Seq | None, error: Exception | None) -> None:
            self._chains.discard(chain)
            result.set_result((seq, error))

        self._start(group, ended)
        return await result

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
                answer.set_result(read_ack(msg.data))

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
        self.commits += 1
        frames, ends = batch_frames([group for group, _ in taken], f"{self._prefix}{next(self._number)}")
        try:
            ack = await self._publish(lambda reply: self._bus.nc.write_frames(frames(reply)))
        except Exception:  # whatever it was, each group finds out for itself
            await asyncio.gather(*(self._again(group, done, Uncertain()) for group, done in taken))
            return
        if ack.error is None:
            first = ack.seq - ack.count
            for (_, done), end in zip(taken, ends, strict=True):
                _settle(done, Seq(first + end))
        elif len(taken) == 1:
            await self._again(*taken[0], Uncertain())
        else:
            # One expectation failed, and the server does not say which: the halves decide for themselves.
            middle = len(taken) // 2
            await self._commit(taken[:middle])
            await self._commit(taken[middle:])

    async def drain(self) -> None:
        """Wait for everything that was handed in."""
        while self._waiting or self._tasks or self._chains:
            await asyncio.sleep(0.01)


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
