"""Numbered SQL files, each applied once, in order, in a transaction of its own."""

import hashlib
import re
from importlib.resources import files
from importlib.resources.abc import Traversable

from msgspec import Struct

from cca.errors import Misconfigured
from cca.postgres.pool import Connection

_NAME = re.compile(r"(\d{4})_[a-z0-9_]+\.sql\Z")
_LOCK = 0x0CCA_0001
"""Advisory lock: services of several versions may start at once."""

_APPLIED = """
CREATE SCHEMA IF NOT EXISTS cca;
CREATE TABLE IF NOT EXISTS cca.migrations (
    owner       text NOT NULL,
    number      integer NOT NULL,
    name        text NOT NULL,
    checksum    text NOT NULL,
    applied_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (owner, number)
)
"""


class Migration(Struct, frozen=True):
    """One file. `checksum` is the SHA-256 of its text."""

    number: int
    name: str
    sql: str

    @property
    def checksum(self) -> str:
        return hashlib.sha256(self.sql.encode()).hexdigest()


def migrations(folder: Traversable) -> list[Migration]:
    """The files `NNNN_words.sql` of a folder, numbered from 1 without a gap. Raises `Misconfigured` otherwise."""
    found = []
    for file in folder.iterdir():
        if not file.name.endswith(".sql"):
            continue
        match = _NAME.match(file.name)
        if match is None:
            raise Misconfigured(f"migration {file.name}: the name must be like 0001_words.sql")
        found.append(Migration(int(match[1]), file.name, file.read_text(encoding="utf-8")))
    found.sort(key=lambda migration: migration.number)
    for expected, migration in enumerate(found, start=1):
        if migration.number != expected:
            raise Misconfigured(f"migration {migration.name}: number {expected:04} is expected here")
    return found


async def migrate(connection: Connection, package: str) -> list[str]:
    """Apply those of a package's `migrations/*.sql` that the database has not seen; return their names.

    Migrations that only the database knows are left alone: a newer version has run, and an older one may still
    be in service beside it. Raises `Misconfigured` when a file was changed after it had been applied.
    """
    return await apply(connection, package, migrations(files(package) / "migrations"))


async def apply(connection: Connection, owner: str, wanted: list[Migration]) -> list[str]:
    """As `migrate`, with the migrations themselves."""
    applied = []
    for migration in wanted:
        async with connection.transaction():
            await connection.execute("SET LOCAL statement_timeout = 0")
            await connection.execute("SELECT pg_advisory_xact_lock($1)", _LOCK)
            await connection.execute(_APPLIED)
            known = await connection.fetchrow(
                "SELECT name, checksum FROM cca.migrations WHERE owner = $1 AND number = $2",
                owner,
                migration.number,
            )
            if known is None:
                await connection.execute(migration.sql)
                await connection.execute(
                    "INSERT INTO cca.migrations (owner, number, name, checksum) VALUES ($1, $2, $3, $4)",
                    owner,
                    migration.number,
                    migration.name,
                    migration.checksum,
                )
                applied.append(migration.name)
            elif known["checksum"] != migration.checksum:
                raise Misconfigured(
                    f"migration {migration.name} of {owner} is not the one that was applied as {known['name']}:"
                    " undo the change and add a migration with the next number"
                )
    return applied
