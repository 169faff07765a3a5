"""For agent authors: submit tasks, wait for them, and read what became of them.

    import asyncio
    from cca import Client

    async def main():
        async with Client.connect() as client:
            task = await client.submit("reviewer", "Review the last commit", priority="high")
            print(await task.result())

    asyncio.run(main())

Where NATS is, and the API key, come from the environment (`CCA_NATS_URL`, `CCA_API_KEY`).
"""

import asyncio
import os
import random
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any, TypeVar

from msgspec import structs

from cca import codec, config
from cca.ask import LONG_S
from cca.code.remote import CodeIndex
from cca.config import NatsSettings
from cca.context.remote import Contexts
from cca.contracts.task import (
    OVER,
    CancelTask,
    GetTask,
    RetryTask,
    RunTask,
    SubmitTask,
    TaskAccepted,
    TaskCanceled,
    TaskCompleted,
    TaskFailed,
    TaskRejected,
    TaskView,
)
from cca.errors import Busy, Unknown
from cca.handle import Handle as Handle
from cca.handle import TaskDidNotComplete as TaskDidNotComplete
from cca.handle import result_of as result_of
from cca.ids import task_id, uuid7
from cca.memory.remote import Memory
from cca.message import Command, Event, Recorded, Reply, Seq, Stream
from cca.nats import subjects
from cca.nats.bus import Bus, connect
from cca.nats.frames import recorded
from cca.nats.log import JetStreamLog
from cca.nats.wire import Msg
from cca.tokens.remote import Tokens
from cca.work.output import Chunk, read_output

PATIENCE_S = 20.0
"""How long a request is tried again while the router is away; elections of a cluster take up to 9 seconds."""
SLICE_S = 2.0
"""The longest that the router is asked to wait in one request; then we listen ourselves."""
POLL_S = 10.0
"""How often a waiting client looks, in case an announcement was lost."""

_OUTCOMES = (TaskCompleted, TaskFailed, TaskCanceled, TaskRejected)
_OUTCOME_TAGS = tuple(f'"type":"{codec.tag_of(kind)}"'.encode() for kind in _OUTCOMES)

R = TypeVar("R", bound=Reply)
_Wait = Callable[[float], Awaitable[None]]


def settings_for(url: str | None, key: str | None) -> NatsSettings:
    """Where NATS is and who we are there: what is given, and for the rest the environment. Raises `Misconfigured`."""
    environ = dict(os.environ)
    if url is not None:
        environ["CCA_NATS_URL"] = url
    if key is not None:
        environ |= {"CCA_NATS_USER": "admin", "CCA_NATS_PASSWORD": key}
        environ.pop("CCA_NATS_PASSWORD_FILE", None)
    return config.load(environ).nats


class Client:
    """Speaks to the router. Make one with `Client.connect`; it outlives restarts of the router and of NATS.

    Every method raises `Busy` when there is no answer for 20 seconds, and `Refused` when the answer is no.

    Attributes:
        tokens: counts and compresses text, and says what was spent: `await client.tokens.count(text)`.
        context: values that agents share: `await client.context.set("project:shop", "plan", plan)`.
        memory: what agents remember: `await client.memory.search("how do we freeze the clock?")`.
        code: the index of code: `await client.code.search("where is the backoff computed?")`.
    """

    def __init__(self, bus: Bus) -> None:
        self.bus = bus
        self.tokens = Tokens(partial(self._ask, answer_s=LONG_S))
        self.context = Contexts(partial(self._ask, answer_s=LONG_S), bus)
        self.memory = Memory(partial(self._ask, answer_s=LONG_S))
        self.code = CodeIndex(partial(self._ask, answer_s=LONG_S))
        self._log = JetStreamLog(bus)

    @classmethod
    @asynccontextmanager
    async def connect(cls, url: str | None = None, key: str | None = None) -> "AsyncIterator[Client]":
        """Connect, and close at the end. Raises `Busy` when NATS cannot be reached, `Refused` for a wrong key.

        async with Client.connect("nats://127.0.0.1:4222", key) as client:
            ...
        """
        async with connect(settings_for(url, key), "cca client") as bus:
            yield cls(bus)

    # ------------------------------------------------------------------------------------ ask

    async def submit(self, role: str, description: str, **fields: Any) -> Handle:
        """Submit a task, and return when it is in the log.

            task = await client.submit("backend", "Add a test", priority="high", labels={"pr": "7"})

        `fields` are those of `cca.contracts.task.SubmitTask`: `id`, `idempotency_key`, `input`, `context`, `priority`,
        `lane`, `kind`, `requester`, `labels`, `max_attempts`, `timeout_s`, `retry`. The id is chosen here unless given,
        so that a lost answer never makes two tasks.
        """
        return await self._submit(_task(role, description, fields))

    async def _submit(self, task: SubmitTask) -> Handle:
        return Handle(self, await self._ask(subjects.RPC_SUBMIT, task, TaskAccepted))

    async def submit_many(
        self, tasks: Iterable[SubmitTask] | AsyncIterable[SubmitTask], window: int = 64
    ) -> AsyncGenerator[Handle, None]:
        """Submit tasks, `window` at a time; their handles in the same order.

            tasks = (SubmitTask(f"Audit {path}", role="security") for path in paths)
            async for task in client.submit_many(tasks):
                print(task.id)

        The first that is refused ends it; those before it are submitted, and those after it perhaps.
        """
        waiting: deque[asyncio.Task[Handle]] = deque()
        try:
            async for task in _async(tasks):
                waiting.append(asyncio.create_task(self._submit(_with_id(task))))
                if len(waiting) >= window:
                    yield await waiting.popleft()
            while waiting:
                yield await waiting.popleft()
        finally:
            for one in waiting:
                one.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)

    async def run(self, role: str, description: str, *, wait_s: float = 60.0, **fields: Any) -> TaskView:
        """Submit a task and wait for its outcome, at most `wait_s` seconds; then what is known by then.

        view = await client.run("backend", "Add a test", wait_s=600)
        print(view.state, view.result)
        """
        until = _now() + wait_s
        # One request and one answer for what takes a moment; said again, it means the same task.
        first = RunTask(_task(role, description, fields), min(max(wait_s, 0.001), SLICE_S))
        view = await self._ask(subjects.RPC_RUN, first, TaskView, extra_s=first.wait_s)
        try:
            return view if view.state in OVER else await self.wait(view.task, max(until - _now(), 0.0))
        except TimeoutError:
            return await self.get(view.task)

    async def get(self, task: str) -> TaskView:
        """What is known of a task. Raises `Refused` (`not-found`, `bad-id`)."""
        return await self._ask(subjects.RPC_GET, GetTask(task), TaskView)

    async def wait(self, task: str, timeout_s: float | None = None) -> TaskView:
        """Wait until a task is over, however it ends. Raises `TimeoutError`, `Refused`."""
        async with asyncio.timeout(timeout_s), self._woken(task) as woken:
            while (view := await self.get(task)).state not in OVER:
                await woken(POLL_S)
        return view

    async def cancel(self, task: str, reason: str = "") -> TaskView:
        """Stop a task, whether it waits or runs. One that is over stays as it is."""
        return await self._ask(subjects.RPC_CANCEL, CancelTask(task, reason), TaskView)

    async def retry(self, task: str, reason: str = "") -> TaskView:
        """Start a failed or canceled task again, with a fresh number of attempts. Raises `Refused`."""
        return await self._ask(subjects.RPC_RETRY, RetryTask(task, reason), TaskView)

    # ------------------------------------------------------------------------------------ read

    async def events(self, task: str, follow: bool = True) -> AsyncGenerator[Recorded[Event], None]:
        """The events of a task from the first; with `follow`, until it is over, as they happen.

            async for recorded in client.events(task.id):
                print(recorded.seq, recorded.event)

        Events of types that this version has never heard of are left out.
        """
        after, stream = Seq(0), Stream("task", task_id(task))
        async with self._woken(task, outcomes=False) as woken:
            while True:
                over = False
                async for raw in self._log.scan(stream.subject, after):
                    after = raw.seq
                    try:
                        one = recorded(raw.subject, raw.seq, raw.headers, raw.body)
                    except Unknown:
                        continue
                    over = isinstance(one.event, _OUTCOMES)
                    yield one
                if over or not follow:
                    return
                await woken(POLL_S)

    async def output(self, task: str, follow: bool = True) -> AsyncGenerator[Chunk, None]:
        """What a task has printed in the last day, byte for byte; with `follow`, until it is over.

            async for chunk in client.output(task.id):
                sys.stdout.buffer.write(chunk)

        A `Chunk` is bytes, and knows its `attempt` and its `stream` (`stdout`, `stderr`).
        """
        after = 0
        async with self._woken(task, also=subjects.output(task_id(task))) as woken:
            while True:
                over = not follow or (await self.get(task)).state in OVER
                async for chunk in read_output(self.bus, task_id(task), after):
                    after = chunk.seq
                    yield chunk
                if over:
                    return
                await woken(POLL_S)

    # ------------------------------------------------------------------------------------ parts

    async def _ask(
        self, subject: str, command: Command, kind: type[R], extra_s: float = 0.0, answer_s: float = 2.0
    ) -> R:
        until, pause = _now() + PATIENCE_S + extra_s, 0.05
        while True:
            try:
                return await self.bus.ask(subject, command, kind, timeout=answer_s + extra_s)
            except Busy:
                if _now() + pause > until:
                    raise
            await asyncio.sleep(random.uniform(pause / 2, pause))
            pause = min(pause * 2, 2.0)

    @asynccontextmanager
    async def _woken(self, task: str, outcomes: bool = True, also: str = "") -> AsyncIterator[_Wait]:
        """Something to wait with until there may be news of a task, or some seconds have passed."""
        news = asyncio.Event()

        def on_live(msg: Msg) -> None:
            if not outcomes or any(tag in msg.data[:60] for tag in _OUTCOME_TAGS):
                news.set()

        async def wait(longest_s: float) -> None:
            with suppress(TimeoutError):
                await asyncio.wait_for(news.wait(), longest_s)
            news.clear()

        heard = [await self.bus.subscribe(subjects.live("task", task_id(task)), on_live)]
        try:
            if also:
                heard.append(await self.bus.subscribe(also, lambda _: news.set()))
            yield wait
        finally:
            for one in heard:
                await one.unsubscribe()


def _task(role: str, description: str, fields: dict[str, Any]) -> SubmitTask:
    return _with_id(SubmitTask(description, role=role, **fields))


def _with_id(task: SubmitTask) -> SubmitTask:
    return task if task.id or task.idempotency_key else structs.replace(task, id=uuid7())


async def _async(tasks: Iterable[SubmitTask] | AsyncIterable[SubmitTask]) -> AsyncIterator[SubmitTask]:
    if isinstance(tasks, AsyncIterable):
        async for task in tasks:
            yield task
    else:
        for task in tasks:
            yield task


def _now() -> float:
    return asyncio.get_running_loop().time()
