"""Connections to PostgreSQL: waited for until the server is there, named, limited in time, JSON as Python values."""

import asyncio
import logging
import random
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import asyncpg
import msgspec

from cca.config import PostgresSettings
from cca.errors import Busy, Misconfigured, Refused

if TYPE_CHECKING:
    from asyncpg.pool import PoolConnectionProxy

    Pool = asyncpg.Pool[asyncpg.Record]
    Connection = asyncpg.Connection[asyncpg.Record] | PoolConnectionProxy[asyncpg.Record]
else:
    Pool, Connection = asyncpg.Pool, asyncpg.Connection

logger = logging.getLogger("cca.postgres")

UNREACHABLE = (
    OSError,
    TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,  # the connection was closed under us
    asyncpg.InternalClientError,  # … in the middle of a word
    asyncpg.OperatorInterventionError,  # it starts, stops or was told to drop us
    asyncpg.InsufficientResourcesError,  # too many connections, no memory, no disk
    asyncpg.InvalidCatalogNameError,  # the database is about to be created
)
"""What passes when the server is back: try again later."""
DATABASE = (asyncpg.PostgresError, *UNREACHABLE)
"""Everything that the server or the way to it can raise."""
BAD_ROWS = (
    asyncpg.DataError,
    asyncpg.IntegrityConstraintViolationError,
    asyncpg.ProgramLimitExceededError,
)
"""What is the fault of the rows that were to be written; trying again changes nothing."""
DuplicateRow = asyncpg.UniqueViolationError
CANCELED = asyncpg.QueryCanceledError
"""It took longer than it may; that says nothing of the server."""

_VECTORS = """
SELECT t.typname AS name, n.nspname AS schema FROM pg_extension e
JOIN pg_depend d ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid AND d.classid = 'pg_type'::regclass
JOIN pg_type t ON t.oid = d.objid JOIN pg_namespace n ON n.oid = t.typnamespace
WHERE e.extname = 'vector' AND t.typname IN ('vector', 'halfvec')
"""

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode


async def connect_pool(
    settings: PostgresSettings,
    name: str,
    *,
    wait: bool = True,
    session: Mapping[str, str] | None = None,
    vectors: bool = False,
    limit_s: float | None = None,
) -> Pool:
    """A pool of at most `settings.pool_size` connections, with one open.

    `json` and `jsonb` are Python values both ways, except that `bytes` are taken for JSON that is encoded already.
    Unqualified names are looked up in the schema `cca`. Times are UTC.

    Args:
        settings: where the server is, and the limit on the time that one statement may take.
        name: what the server shows in `pg_stat_activity`.
        wait: wait for a server that is not there yet; otherwise that raises `Busy`.
        session: further run-time settings of each connection (`{"synchronous_commit": "off"}`).
        vectors: values of pgvector's types are `bytes`, as `cca.postgres.halfvec` makes them, on connections that are
            opened when the extension is there.
        limit_s: seconds after which a statement is given up here (`TimeoutError`), whatever the server does.

    Raises `Refused` (`not-authorized`) for credentials that are not accepted, and `Misconfigured` for a URL that is
    none. No error names the password.
    """
    pause = 0.1
    while True:
        try:
            return await _create(settings, name, session or {}, vectors, limit_s)
        except asyncpg.InvalidAuthorizationSpecificationError:
            raise Refused("not-authorized", f"PostgreSQL at {settings.url} does not accept these credentials") from None
        except UNREACHABLE as error:
            text = f"cannot reach PostgreSQL at {settings.url} ({error or type(error).__name__})"
            if not wait:
                raise Busy(text) from None
            logger.warning("%s; trying again", text)
        await asyncio.sleep(pause + random.uniform(0, pause))
        pause = min(pause * 2, 5.0)


async def _create(
    settings: PostgresSettings, name: str, session: Mapping[str, str], vectors: bool, limit_s: float | None
) -> Pool:
    try:
        return await asyncpg.create_pool(
            settings.url,
            password=settings.password,
            min_size=1,
            max_size=settings.pool_size,
            timeout=10,  # to connect, in seconds
            command_timeout=limit_s,
            init=_prepare_with_vectors if vectors else _prepare,
            server_settings={
                "application_name": name,
                "statement_timeout": str(int(settings.statement_timeout_s * 1000)),
                "search_path": "cca, public",
                "timezone": "UTC",
                "jit": "off",  # compiling costs more than it saves on short queries
                **session,
            },
        )
    except (ValueError, asyncpg.ClientConfigurationError):
        raise Misconfigured("postgres.url must be like postgresql://user@host:5432/database") from None


async def close_pool(pool: Pool) -> None:
    """Close a pool, if need be without the server's help."""
    try:
        async with asyncio.timeout(5):
            await pool.close()
    except UNREACHABLE:
        pool.terminate()


async def _prepare_with_vectors(connection: Any) -> None:
    await _prepare(connection)
    for record in await connection.fetch(_VECTORS):
        await connection.set_type_codec(
            record["name"], schema=record["schema"], encoder=bytes, decoder=bytes, format="binary"
        )


async def _prepare(connection: Any) -> None:
    # In binary, because text would be decoded to str and then parsed.
    await connection.set_type_codec("json", schema="pg_catalog", encoder=_to_json, decoder=_decode, format="binary")
    await connection.set_type_codec(
        "jsonb", schema="pg_catalog", encoder=_to_jsonb, decoder=_from_jsonb, format="binary"
    )


def _to_json(value: Any) -> bytes:
    return value if type(value) is bytes else _encode(value)


def _to_jsonb(value: Any) -> bytes:
    return b"\x01" + (value if type(value) is bytes else _encode(value))  # the format's version


def _from_jsonb(data: bytes) -> Any:
    return _decode(memoryview(data)[1:])
