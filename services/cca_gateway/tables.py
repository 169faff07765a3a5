"""PostgreSQL for reading: a pool that is there when the server is, and `Busy` when it is not."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from cca.config import PostgresSettings
from cca.errors import Busy, Refused
from cca.postgres.pool import DATABASE, UNREACHABLE, Pool, close_pool, connect_pool

logger = logging.getLogger("cca_gateway")

PATIENCE = 5.0
"""Seconds that a query waits for a free connection."""
AGAIN = 5.0
"""Seconds until credentials that were refused are tried again."""

_NOT_YET = frozenset(("3F000", "42P01", "42703"))
"""No such schema, table or column: the projector has not made, or not yet changed, its tables."""

Row = Any
"""A row as asyncpg gives it: values by column name."""


class Tables:
    """What the projector keeps, for questions. Make one with `connect`."""

    def __init__(self) -> None:
        self._pool: Pool | None = None

    async def rows(self, sql: str, *values: object) -> list[Row]:
        """The rows of a query. Raises `Busy` when there is no server, no table, or no time left."""
        pool = self._pool
        if pool is None:
            raise Busy("the connection to PostgreSQL is down")
        try:
            async with pool.acquire(timeout=PATIENCE) as connection:
                return await connection.fetch(sql, *values)
        except DATABASE as error:
            if getattr(error, "sqlstate", None) in _NOT_YET:
                raise Busy("the tables are not there yet") from None
            if not isinstance(error, UNREACHABLE):
                raise
            logger.warning("PostgreSQL cannot be asked: %s", error or type(error).__name__)
            raise Busy("the tables cannot be read at the moment") from None

    async def keep_connecting(self, settings: PostgresSettings) -> None:
        """Connect as soon as the server is there."""
        while self._pool is None:
            try:
                self._pool = await connect_pool(settings, "cca_gateway")
            except Refused as error:
                logger.error("%s; trying again", error)
                await asyncio.sleep(AGAIN)

    async def close(self) -> None:
        if self._pool is not None:
            await close_pool(self._pool)


@asynccontextmanager
async def connect(settings: PostgresSettings) -> AsyncIterator[Tables]:
    """Tables that are there now or later: the gateway takes tasks without them."""
    tables = Tables()
    connecting = asyncio.create_task(tables.keep_connecting(settings))
    connecting.add_done_callback(_say_if_failed)
    try:
        yield tables
    finally:
        connecting.cancel()
        await asyncio.gather(connecting, return_exceptions=True)
        await tables.close()


def _say_if_failed(connecting: "asyncio.Task[Any]") -> None:
    if not connecting.cancelled() and (error := connecting.exception()) is not None:
        logger.error("the tables will not be there: %s", error)
