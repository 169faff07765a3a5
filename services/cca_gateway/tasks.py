"""Submitting, showing, canceling, retrying and rating tasks."""

import asyncio
from datetime import datetime
from typing import Annotated, Any

import msgspec
from aiohttp import web
from msgspec import Meta, Raw, Struct
from msgspec.structs import replace

from cca import codec
from cca.contracts.task import (
    OVER,
    CancelTask,
    GetTask,
    RateTask,
    RetryTask,
    RunTask,
    Short,
    SubmitTask,
    TaskView,
)
from cca.errors import Busy, CcaError
from cca.ids import task_id, uuid7
from cca.nats import subjects
from cca_gateway import problems, queries
from cca_gateway.bodies import decoder
from cca_gateway.call import Call
from cca_gateway.gateway import Gateway
from cca_gateway.problems import Problem, ProblemDetails
from cca_gateway.queries import Attempt, CondensedContext, PriorMemory

SLICE = 5.0
"""Seconds that one question to the router waits for an outcome: a router that was restarted is asked again."""
MARGIN = 3.0
"""Seconds beyond that in which an answer may arrive."""
PATIENCE = 12.0
"""Seconds for which a waiting client is spared that the router is away: one lost question, and some time."""
PAUSE = 0.25
"""Seconds between questions while it is."""
KEY_LIMIT = 190
"""Characters that the key of a batch may have: each task's own is that and its index."""
IN_FLIGHT = 256
"""Tasks of one batch that are submitted at the same time."""


class Why(Struct, frozen=True, forbid_unknown_fields=True):
    """Why a task is canceled or retried, and on whose behalf."""

    reason: Annotated[str, Meta(max_length=2_000)] = ""
    requester: Short | None = None


class Feedback(Struct, frozen=True, forbid_unknown_fields=True):
    """How good the result is, between 0 and 1; `requester` is the key's name when it is not given."""

    quality: Annotated[float, Meta(ge=0, le=1)]
    comment: Annotated[str, Meta(max_length=2_000)] = ""
    requester: Short | None = None


class _Outcome(Struct, frozen=True):
    """What the gateway itself must know of a `TaskView` or `TaskAccepted` that it passes on."""

    task: str
    state: str
    created: bool = True


_outcome = msgspec.json.Decoder(_Outcome).decode
_encode = msgspec.json.Encoder().encode

Batch = Annotated[list[SubmitTask], Meta(min_length=1, max_length=1_000)]
RawBatch = Annotated[list[Raw], Meta(min_length=1, max_length=1_000)]


class BatchItem(Struct, frozen=True, omit_defaults=True):
    """What became of one task of a batch: accepted (202), or refused with a problem."""

    status: int
    task: str | None = None
    state: str | None = None
    created: bool | None = None
    problem: ProblemDetails | None = None


class BatchResult(Struct, frozen=True):
    """What became of each task, in order."""

    accepted: int
    refused: int
    items: list[BatchItem]


class TaskDetail(TaskView, frozen=True, tag="cca.task.view.v1"):
    """What the log knows of a task; the times and attempts are added when the tables have them."""

    input: dict[str, Any] | None = None
    timeout_s: float | None = None
    deadline_s: float | None = None
    fraction: float | None = None
    duration_s: float | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    attempts: tuple[Attempt, ...] = ()
    condensed: CondensedContext | None = None
    memories: tuple[PriorMemory, ...] = ()


def location(task: str) -> dict[str, str]:
    return {"Location": f"/api/v1/tasks/{task}"}


# ------------------------------------------------------------------------------------------ submit


async def submit(gateway: Gateway, call: Call) -> web.Response:
    """Accept a task, 202; or wait for its outcome, 200."""
    task = _identified(call.body, call.idempotency_key)
    wait = call.wait
    if wait is None or task.idempotency_key is not None:  # who gives a key is told whether it is a repetition
        body = await _submit(gateway, call, task)
        accepted = _outcome(body)
        headers = location(accepted.task)
        if not accepted.created:
            headers["Idempotency-Replayed"] = "true"
        if wait is None:
            return call.answer(body, 202, headers)
        with gateway.waiting():
            body = await _outcome_of(gateway, call, accepted.task, wait)
    else:
        with gateway.waiting():
            body = await _run(gateway, call, task, wait)
        headers = location(task.id or "")
    headers["Preference-Applied"] = f"wait={wait:g}"
    return call.answer(body, 200 if _outcome(body).state in OVER else 202, headers)


def _identified(task: SubmitTask, key: str | None) -> SubmitTask:
    """The task with a name: what the router may have missed is then safe to say again.

    Raises `Problem` `invalid`, and `Refused` `bad-id`.
    """
    if task.role is None:
        raise Problem("invalid", "Object missing required field `role`")
    if key is not None:
        if task.idempotency_key is not None and task.idempotency_key != key:
            raise Problem("invalid", "the Idempotency-Key differs from `idempotency_key` in the body")
        task = replace(task, idempotency_key=key)
    if task.id is not None:
        return replace(task, id=task_id(task.id))
    return task if task.idempotency_key is not None else replace(task, id=uuid7())


async def _submit(gateway: Gateway, call: Call, task: SubmitTask) -> bytes:
    try:
        return await gateway.ask(subjects.RPC_SUBMIT, codec.encode(task), call.headers)
    except Busy as error:
        raise _busy(error, task.id) from None


def _busy(error: Busy, task: str | None) -> Problem:
    """Not now; and where to look, because the task may have been accepted all the same."""
    return Problem("busy", str(error), location(task) if task else None, task)


async def _run(gateway: Gateway, call: Call, task: SubmitTask, wait: float) -> bytes:
    """Submit and wait: one question and one answer, unless it takes long or the router is restarted."""
    gateway.see_that_bus_is_there()
    loop = asyncio.get_running_loop()
    began = loop.time()
    first = min(wait, SLICE)
    question = codec.encode(RunTask(task, first))
    while True:
        try:
            body = await gateway.ask(subjects.RPC_RUN, question, call.headers, first + MARGIN)
            break
        except Busy as error:
            if gateway.closing or loop.time() - began > min(wait, PATIENCE):
                raise _busy(error, task.id) from None
            await asyncio.sleep(PAUSE)
    left = wait - (loop.time() - began)
    if left > 0.05 and _outcome(body).state not in OVER:
        return await _outcome_of(gateway, call, task.id or "", left)
    return body


async def _outcome_of(gateway: Gateway, call: Call, task: str, wait: float) -> bytes:
    """What is known of a task once it is over, or after `wait` seconds."""
    gateway.see_that_bus_is_there()
    loop = asyncio.get_running_loop()
    now = heard = loop.time()
    deadline = now + wait
    while True:
        part = min(max(deadline - now, 0.0), SLICE)
        try:
            question = codec.encode(GetTask(task, part))
            body = await gateway.ask(subjects.RPC_GET, question, call.headers, part + MARGIN)
            heard = now = loop.time()
            if _outcome(body).state in OVER or now >= deadline:
                return body
        except Busy as error:
            now = loop.time()
            if gateway.closing or now >= deadline or now - heard > PATIENCE:
                raise _busy(error, task) from None
            await asyncio.sleep(PAUSE)


async def submit_batch(gateway: Gateway, call: Call) -> web.Response:
    """Submit each task of a list by itself: what is wrong with one is no harm to the others."""
    key = call.idempotency_key
    if key is not None and len(key) > KEY_LIMIT:
        raise Problem("bad-header", f"the Idempotency-Key of a batch may have {KEY_LIMIT} characters")
    turns = asyncio.Semaphore(IN_FLIGHT)

    async def one(index: int, raw: Raw) -> BatchItem:
        async with turns:
            try:
                task = _decode_one(bytes(raw))
                if key is not None and task.id is None and task.idempotency_key is None:
                    task = replace(task, idempotency_key=f"{key}#{index}")
                task = _identified(task, None)
                accepted = _outcome(await _submit(gateway, call, task))
            except CcaError as error:
                if problems.is_internal(error):
                    raise
                problem = problems.details(error)
                return BatchItem(problem.status, problem=problem)
            return BatchItem(202, accepted.task, accepted.state, accepted.created)

    items = await asyncio.gather(*(one(index, raw) for index, raw in enumerate(call.body)))
    accepted = sum(item.status == 202 for item in items)
    return call.answer(_encode(BatchResult(accepted, len(items) - accepted, list(items))))


_decode_one = decoder(SubmitTask)


# ------------------------------------------------------------------------------------------ one task


async def show(gateway: Gateway, call: Call) -> web.Response:
    """What the router knows of a task, with attempts and times from the tables when they are there."""
    wait = call.wait
    if wait is not None:
        with gateway.waiting():
            body = await _outcome_of(gateway, call, call.task, wait)
    else:
        body = await gateway.ask(subjects.RPC_GET, codec.encode(GetTask(call.task)), call.headers)
    headers = {"Preference-Applied": f"wait={wait:g}"} if wait is not None else None
    try:
        more = await queries.detail(gateway.tables, call.task)
    except Busy:
        more = None  # what the router says is true without them
    if more is not None:
        body = _encode(replace(_detail(body), **more))
    return call.answer(body, 200, headers)


_detail = msgspec.json.Decoder(TaskDetail).decode


async def cancel(gateway: Gateway, call: Call) -> web.Response:
    """Stop a task."""
    why = call.body or Why()
    command = CancelTask(call.task, why.reason, why.requester)
    body = await gateway.ask(subjects.RPC_CANCEL, codec.encode(command), call.headers)
    state = _outcome(body).state
    if state != "canceled":
        raise Problem("already-over", f"task {call.task} is {state}", task=call.task)
    return call.answer(body)


async def retry(gateway: Gateway, call: Call) -> web.Response:
    """Try a task again that has failed or was canceled."""
    why = call.body or Why()
    command = RetryTask(call.task, why.reason, why.requester)
    body = await gateway.ask(subjects.RPC_RETRY, codec.encode(command), call.headers)
    return call.answer(body, 202, location(call.task))


async def rate(gateway: Gateway, call: Call) -> web.Response:
    """Say how good a result is. A later rating replaces an earlier one."""
    said: Feedback = call.body
    command = RateTask(call.task, said.quality, said.comment, said.requester or call.requester)
    return call.answer(await gateway.ask(subjects.RPC_RATE, codec.encode(command), call.headers))
