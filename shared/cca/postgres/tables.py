"""PostgreSQL for services that live without it: a pool that is there when the server is, and `Busy` when it is not."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from cca.breaker import Breaker
from cca.config import PostgresSettings
from cca.errors import Busy, Refused
from cca.postgres.pool import CANCELED, DATABASE, UNREACHABLE, Connection, Pool, close_pool, connect_pool

PATIENCE = 5.0
"""Seconds that a query waits for a free connection."""
AGAIN = 5.0
"""Seconds until credentials that were refused are tried again."""

_NOT_YET = frozenset(("3F000", "42P01", "42703"))
"""No such schema, table or column: the projector has not made, or not yet changed, its tables."""

Row = Any
"""A row as asyncpg gives it: values by column name."""


Prepare = Callable[[Connection], Awaitable[None]]


class Tables:
    """What is kept in PostgreSQL. Make one with `connect`.

    Args:
        name: of the service that asks: the server shows it with its connections, and what goes wrong is logged
            under it.

    Attributes:
        breaker: open while the server fails, so that who asks hears at once that it does.
    """

    def __init__(self, name: str) -> None:
        self._name, self._logger = name, logging.getLogger(name)
        self._pool: Pool | None = None
        self.breaker = Breaker()

    async def rows(self, sql: str, *values: object) -> list[Row]:
        """The rows of a query. Raises `Busy` when there is no server, no table, or no time left."""
        async with self.connection() as connection:
            return await connection.fetch(sql, *values)

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """A connection for more than one statement, or for one that writes. Raises `Busy` as `rows` does."""
        now = asyncio.get_running_loop().time
        pool, breaker = self._pool, self.breaker
        if pool is None:
            raise Busy("the connection to PostgreSQL is down")
        if not breaker.admits(now()):
            raise Busy(f"PostgreSQL does not answer; it is asked again in {breaker.remaining(now()):.1f} s")
        try:
            async with pool.acquire(timeout=PATIENCE) as connection:
                try:
                    yield connection
                except TimeoutError:
                    # The server did not even end the statement itself: it would not take leave of us either.
                    connection.terminate()
                    raise
            breaker.succeeded()
        except DATABASE as error:
            if isinstance(error, UNREACHABLE) and not isinstance(error, CANCELED):
                breaker.failed(now())
            else:
                breaker.succeeded()
            if getattr(error, "sqlstate", None) in _NOT_YET:
                raise Busy("the tables are not there yet") from None
            if not isinstance(error, UNREACHABLE):
                raise
            self._logger.warning("PostgreSQL cannot be asked: %s", error or type(error).__name__)
            raise Busy("the tables cannot be read at the moment") from None
        except BaseException:
            breaker.given_up()
            raise

    async def keep_connecting(self, settings: PostgresSettings, prepare: Prepare | None = None) -> None:
        """Connect as soon as the server is there, and prepare what must be there."""
        # The server ends statements that take too long. What it did not even end is given up here, a little later.
        limit = settings.statement_timeout_s + 1 if settings.statement_timeout_s else None
        while self._pool is None:
            try:
                if prepare is not None:
                    await self._prepare(settings, prepare)
                self._pool = await connect_pool(settings, self._name, vectors=True, limit_s=limit)
            except Refused as error:
                self._logger.error("%s; trying again", error)
                await asyncio.sleep(AGAIN)
            except DATABASE as error:
                self._logger.warning("PostgreSQL: %s; trying again", error or type(error).__name__)
                await asyncio.sleep(AGAIN)

    async def _prepare(self, settings: PostgresSettings, prepare: Prepare) -> None:
        """On a connection without a limit, and older than the types that it may make."""
        pool = await connect_pool(settings, self._name)
        try:
            async with pool.acquire() as connection:
                await prepare(connection)
        finally:
            await close_pool(pool)

    def say_if_failed(self, connecting: "asyncio.Task[Any]") -> None:
        """To be told when `keep_connecting` is over."""
        if not connecting.cancelled() and (error := connecting.exception()) is not None:
            self._logger.error("the tables will not be there: %s", error)

    async def close(self) -> None:
        if self._pool is not None:
            await close_pool(self._pool)


@asynccontextmanager
async def connect(settings: PostgresSettings, name: str, prepare: Prepare | None = None) -> AsyncIterator[Tables]:
    """Tables that are there now or later, for the service `name`: it does without them until then.

    Args:
        prepare: called once, before anything is asked: makes tables of the service's own.
    """
    tables = Tables(name)
    connecting = asyncio.create_task(tables.keep_connecting(settings, prepare))
    connecting.add_done_callback(tables.say_if_failed)
    try:
        yield tables
    finally:
        connecting.cancel()
        await asyncio.gather(connecting, return_exceptions=True)
        await tables.close()
