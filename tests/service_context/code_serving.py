"""An instance that indexes code, as a process of its own: it is there to be killed."""

import asyncio
import contextlib
import sys
from datetime import UTC, datetime

import msgspec

from cca.config import ContextSettings, NatsSettings, PostgresSettings
from cca.contracts.code import IndexCode
from cca.errors import Busy
from cca.ids import uuid7
from cca.message import Meta
from cca.nats import setup
from cca.nats.bus import connect
from cca.nats.log import JetStreamLog
from cca.pool.pool import Pool
from cca.postgres.migrate import migrate
from cca.postgres.pool import Connection
from cca.postgres.tables import connect as connect_tables
from cca_context.code_answers import Code
from cca_context.corpus import CODE
from cca_context.search import Searcher
from cca_context.vectors import Vectors


async def main(nats: NatsSettings, postgres: PostgresSettings, root: str) -> None:
    """Serve, and have a directory indexed; print the job."""

    async def prepare(connection: Connection) -> None:
        await migrate(connection, "cca_context")

    async with (
        connect(nats, "cca_context", echo=False) as bus,
        connect_tables(postgres, "cca_context", prepare) as tables,
    ):
        await setup.ensure(bus)
        log, pool = JetStreamLog(bus, announce=True), Pool("cca.code.jobs.do", workers=1)
        vectors = Vectors(tables, None, CODE)
        code = Code(
            bus, log, tables, tables, pool, Searcher(tables, CODE, vectors), vectors, ContextSettings(roots=root)
        )
        await code.start()
        with contextlib.suppress(Busy):
            job = await code.index(IndexCode(root), Meta(id=uuid7(), source="test", time=datetime.now(UTC)))
            print(job.job, flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(
        main(
            msgspec.json.decode(sys.argv[1], type=NatsSettings),
            msgspec.json.decode(sys.argv[2], type=PostgresSettings),
            sys.argv[3],
        )
    )
