"""PostgreSQL for reading: a pool that is there when the server is, and `Busy` when it is not."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from cca.config import PostgresSettings
from cca.errors import Busy, Refused
from cca.postgres.pool import DATABASE, UNREACHABLE, Pool, close_pool, connect_pool

PATIENCE = 5.0
"""Seconds that a query waits for a free connection."""
AGAIN = 5.0
"""Seconds until credentials that were refused are tried again."""

_NOT_YET = frozenset(("3F000", "42P01", "42703"))
"""No such schema, table or column: the projector has not made, or not yet changed, its tables."""

Row = Any
"""A row as asyncpg gives it: values by column name."""


class Tables:
    """What the projector keeps, for questions. Make one with `connect`.

    Args:
        name: of the service that asks: the server shows it with its connections, and what goes wrong is logged
            under it.
    """

    def __init__(self, name: str) -> None:
        self._name, self._logger = name, logging.getLogger(name)
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
            self._logger.warning("PostgreSQL cannot be asked: %s", error or type(error).__name__)
            raise Busy("the tables cannot be read at the moment") from None

    async def keep_connecting(self, settings: PostgresSettings) -> None:
        """Connect as soon as the server is there."""
        while self._pool is None:
            try:
                self._pool = await connect_pool(settings, self._name)
            except Refused as error:
                self._logger.error("%s; trying again", error)
                await asyncio.sleep(AGAIN)

    def say_if_failed(self, connecting: "asyncio.Task[Any]") -> None:
        """To be told when `keep_connecting` is over."""
        if not connecting.cancelled() and (error := connecting.exception()) is not None:
            self._logger.error("the tables will not be there: %s", error)

    async def close(self) -> None:
        if self._pool is not None:
            await close_pool(self._pool)


@asynccontextmanager
async def connect(settings: PostgresSettings, name: str) -> AsyncIterator[Tables]:
    """Tables that are there now or later, for the service `name`: it does without them until then."""
    tables = Tables(name)
    connecting = asyncio.create_task(tables.keep_connecting(settings))
    connecting.add_done_callback(tables.say_if_failed)
    try:
        yield tables
    finally:
        connecting.cancel()
        await asyncio.gather(connecting, return_exceptions=True)
        await tables.close()
