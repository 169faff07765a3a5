"""Code that can be searched: indexed by jobs in the background. The context service answers; its words go to the client
as they are."""

import msgspec
from aiohttp import web
from msgspec import Struct
from msgspec.structs import replace

from cca.contracts.code import CancelCodeJob, DropCode, GetCodeJob, GetCodeStats, IndexCode, ListCodeJobs, SearchCode
from cca.contracts.search import Limit
from cca.contracts.task import Word
from cca.nats import subjects
from cca_gateway.call import Call
from cca_gateway.context import LONG, ask
from cca_gateway.gateway import Gateway


class JobQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Of which project, and how many."""

    project: Word | None = None
    limit: Limit = 20


class _Job(Struct, frozen=True):
    """What the gateway itself must know of a `CodeJob` that it passes on."""

    job: str


_job = msgspec.json.Decoder(_Job).decode


async def index(gateway: Gateway, call: Call) -> web.Response:
    """Begin to index a directory on the machine of the context service, below one of its roots. The job goes on by
    itself: `Location` is where to look how far it is."""
    command: IndexCode = call.body
    if command.requester is None:
        command = replace(command, requester=call.requester)
    body = await ask(gateway, call, subjects.RPC_CODE_INDEX, command)
    return call.answer(body, 202, {"Location": f"/api/v1/code/jobs/{_job(body).job}"})


async def jobs(gateway: Gateway, call: Call) -> web.Response:
    """The last jobs, newest first."""
    query: JobQuery = call.query
    return call.answer(await ask(gateway, call, subjects.RPC_CODE_JOBS, ListCodeJobs(query.project, query.limit)))


async def job(gateway: Gateway, call: Call) -> web.Response:
    """A job, and how far it is."""
    return call.answer(await ask(gateway, call, subjects.RPC_CODE_JOB, GetCodeJob(call.named["job"])))


async def cancel(gateway: Gateway, call: Call) -> web.Response:
    """Stop a job. What it has indexed stays."""
    command = CancelCodeJob(call.named["job"], call.requester)
    return call.answer(await ask(gateway, call, subjects.RPC_CODE_CANCEL, command))


async def search(gateway: Gateway, call: Call) -> web.Response:
    """Look for code by words and by meaning; `why` says where each score comes from."""
    command: SearchCode = call.body
    return call.answer(await ask(gateway, call, subjects.RPC_CODE_SEARCH, command, LONG))


async def stats(gateway: Gateway, call: Call) -> web.Response:
    """What is in the index, where directories may be indexed, and how far the vectors are."""
    return call.answer(await ask(gateway, call, subjects.RPC_CODE_STATS, GetCodeStats()))


async def drop(gateway: Gateway, call: Call) -> web.Response:
    """Take a project out of the index. The answer is what is left."""
    command = DropCode(call.named["project"], call.requester)
    return call.answer(await ask(gateway, call, subjects.RPC_CODE_DROP, command, LONG))
