"""How routing is learned: looked at, set, asked for reasons. The learner answers; its words go to the client as they
are."""

from typing import Annotated, Any

import msgspec
from aiohttp import web
from msgspec import Meta, Struct
from msgspec.structs import replace

from cca import codec
from cca.contracts.learner import (
    Averages,
    ConfigurePolicy,
    ExplainTask,
    GetHistory,
    GetPolicy,
    GetWorkloads,
    RunShadow,
    TrainPolicy,
)
from cca.contracts.policy import Algorithm, Params
from cca.contracts.task import Word
from cca.errors import CcaError
from cca.message import Command
from cca.nats import subjects
from cca_gateway.call import Call
from cca_gateway.gateway import Gateway
from cca_gateway.problems import Problem

PATIENCE = 5.0
"""Seconds that the learner has to say what it knows."""
LONG = 60.0
"""Seconds that it has to fit, replay or evaluate."""
BRIEFLY = 1.0
"""Seconds for what is only added to an answer that is complete without it."""

Reason = Annotated[str, Meta(max_length=2_000, description="Kept in the log.")]


class Settings(Struct, frozen=True):
    """What decides, and all its parameters, those at their defaults too."""

    algorithm: Algorithm
    params: Params


class Algorithms(Struct, frozen=True):
    """What decides, and what could, each with a sentence."""

    algorithm: Algorithm
    available: dict[str, str]


class AlgorithmChange(Struct, frozen=True, forbid_unknown_fields=True):
    """What is to decide from now on."""

    algorithm: Algorithm
    reason: Reason = ""


class HowToChange(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whether what is not named stays, or goes back to its default."""

    replace: Annotated[bool, Meta(description="What is not named goes back to its default.")] = False
    reason: Reason = ""


class Why(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which decision about the task."""

    route: Annotated[int, Meta(ge=1, le=1_000_000, description="Which decision; the last if none is named.")] | None = (
        None
    )
    replay: Annotated[bool, Meta(description="Make the policy again from the log, decide again, and compare.")] = False


class HistoryQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """In how many groups of decisions, and of which role."""

    points: Annotated[int, Meta(ge=1, le=1_000)] = 50
    role: Word | None = None


class _Present(Struct, frozen=True):
    """What the gateway itself must know of a `PolicyStatus`: parameters at their defaults are not in it."""

    algorithm: str
    params: dict[str, Any]
    available: dict[str, str] = {}


_present = msgspec.json.Decoder(_Present).decode
_encode = msgspec.json.Encoder().encode


async def ask(gateway: Gateway, call: Call, subject: str, command: Command, timeout: float = PATIENCE) -> bytes:
    """The body of the learner's answer. Raises `Problem` `busy` when none came, and what the learner refuses."""
    return await gateway.ask_service("learner", subject, command, call.headers, timeout, "tasks are routed without it")


# ------------------------------------------------------------------------------------------ look


async def stats(gateway: Gateway, call: Call) -> web.Response:
    """The policy that decides, and what it was learned from."""
    return call.answer(await ask(gateway, call, subjects.RPC_LEARNER_STATUS, GetPolicy()))


async def algorithm(gateway: Gateway, call: Call) -> web.Response:
    """The algorithm that decides, and those that could."""
    present = _present(await ask(gateway, call, subjects.RPC_LEARNER_STATUS, GetPolicy()))
    return call.answer(_encode({"algorithm": present.algorithm, "available": present.available}))


async def params(gateway: Gateway, call: Call) -> web.Response:
    """Every parameter with its value."""
    present = _present(await ask(gateway, call, subjects.RPC_LEARNER_STATUS, GetPolicy()))
    every = in_full(msgspec.convert(present.params, Params))
    return call.answer(_encode({"algorithm": present.algorithm, "params": every}))


async def history(gateway: Gateway, call: Call) -> web.Response:
    """How learning went, oldest first."""
    question = GetHistory(call.query.points, call.query.role)
    return call.answer(await ask(gateway, call, subjects.RPC_LEARNER_HISTORY, question, LONG))


async def explain(gateway: Gateway, call: Call) -> web.Response:
    """Candidates, what was masked, what was expected, how likely each was, and what spoke for the chosen one."""
    question = ExplainTask(call.task, call.query.route, call.query.replay)
    return call.answer(await ask(gateway, call, subjects.RPC_LEARNER_EXPLAIN, question, LONG))


async def evaluate(gateway: Gateway, call: Call) -> web.Response:
    """Estimates of the mean reward with their errors; no verdict when too little is known."""
    return call.answer(await ask(gateway, call, subjects.RPC_LEARNER_EVALUATE, call.body, LONG))


async def shadow(gateway: Gateway, call: Call) -> web.Response:
    """How a candidate does beside the live policy, in `shadow`."""
    return call.answer(await ask(gateway, call, subjects.RPC_LEARNER_SHADOW, RunShadow("status")))


async def averages(gateway: Gateway, call: Call) -> Averages | None:
    """Moving averages of lanes and live agents; None when the learner does not say."""
    try:
        return codec.read(await ask(gateway, call, subjects.RPC_LEARNER_WORKLOADS, GetWorkloads(), BRIEFLY), Averages)
    except CcaError:
        return None


# ------------------------------------------------------------------------------------------ change


async def choose(gateway: Gateway, call: Call) -> web.Response:
    """Change the algorithm."""
    change: AlgorithmChange = call.body
    command = ConfigurePolicy(change.algorithm, None, change.reason, call.requester)
    return call.answer(await ask(gateway, call, subjects.RPC_LEARNER_CONFIGURE, command, LONG))


async def configure(gateway: Gateway, call: Call) -> web.Response:
    """Change parameters. Objects are merged, and `null` puts a parameter back to its default or takes an entry out.

    With `replace`, the body is all that is set.
    """
    how: HowToChange = call.query
    async with gateway.configuring:
        wanted = call.body
        if not how.replace:
            status = await ask(gateway, call, subjects.RPC_LEARNER_STATUS, GetPolicy())
            wanted = merged(_present(status).params, wanted)
        try:
            params = msgspec.convert(wanted, Params)
        except msgspec.ValidationError as error:
            raise Problem("invalid", str(error)) from None
        command = ConfigurePolicy(None, params, how.reason, call.requester)
        return call.answer(await ask(gateway, call, subjects.RPC_LEARNER_CONFIGURE, command, LONG))


async def train(gateway: Gateway, call: Call) -> web.Response:
    """Learn from everything that is in the log by now, without waiting for the interval to be over."""
    return call.answer(await ask(gateway, call, subjects.RPC_LEARNER_TRAIN, TrainPolicy(), LONG))


async def try_beside(gateway: Gateway, call: Call) -> web.Response:
    """Try a candidate on the decisions of the live policy, without acting."""
    command: RunShadow = call.body
    if command.requester is None:
        command = replace(command, requester=call.requester)
    return call.answer(await ask(gateway, call, subjects.RPC_LEARNER_SHADOW, command, LONG))


def merged(present: Any, patch: Any) -> Any:
    """A JSON value after a merge patch (RFC 7396): objects are merged, `null` removes, all else replaces."""
    if not isinstance(patch, dict):
        return patch
    result = dict(present) if isinstance(present, dict) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = merged(result.get(name), value)
    return result


def in_full(value: Any) -> Any:
    """A Struct as JSON values with what is at its default, which its own encoding leaves out."""
    if isinstance(value, Struct):
        return {name: in_full(getattr(value, name)) for name in value.__struct_fields__}
    if isinstance(value, dict):
        return {name: in_full(item) for name, item in value.items()}
    return value
