"""Connections are waited for and tell no secrets; migrations are applied once and never changed."""

import asyncio

import pytest

from cca.config import PostgresSettings
from cca.errors import Busy, Misconfigured, Refused
from cca.postgres.migrate import Migration, apply, migrate
from cca.postgres.pool import Connection, close_pool, connect_pool
from cca.testing.servers import PostgresServer


@pytest.mark.covers("H7")
async def test_a_pool_waits_for_a_server_that_starts_later(postgres_server: PostgresServer) -> None:
    settings = postgres_server.settings("cca")
    postgres_server.kill()
    connecting = asyncio.create_task(connect_pool(settings, "patient"))
    with pytest.raises(Busy, match="cannot reach PostgreSQL"):
        await connect_pool(settings, "hasty", wait=False)
    assert not connecting.done()

    postgres_server.start()

    pool = await asyncio.wait_for(connecting, 30)
    assert await pool.fetchval("SELECT current_setting('application_name')") == "patient"
    await close_pool(pool)


async def test_a_wrong_password_is_refused_and_not_repeated_to_anyone(postgres: PostgresSettings) -> None:
    wrong = PostgresSettings(url=postgres.url, password="sesame-open")
    with pytest.raises(Refused) as refusal:
        await connect_pool(wrong, "test")
    assert "sesame" not in str(refusal.value)
    assert "sesame" not in repr(wrong)


async def test_a_url_that_is_none_is_a_wrong_setting() -> None:
    with pytest.raises(Misconfigured):
        await connect_pool(PostgresSettings(url="http://127.0.0.1/x", password="sesame"), "test", wait=False)


async def test_json_is_values_both_ways(db: Connection) -> None:
    value = {"a": [1, 2.5, None, "ü"], "b": {"c": True}}
    for kind in ("json", "jsonb"):
        assert await db.fetchval(f"SELECT $1::{kind}", value) == value
        assert await db.fetchval(f"SELECT $1::{kind}", b'{"x": 1}') == {"x": 1}
        assert await db.fetchval(f"SELECT $1::{kind}[]", [value, None]) == [value, None]


async def test_a_statement_may_not_take_for_ever(postgres: PostgresSettings) -> None:
    settings = PostgresSettings(url=postgres.url, password=postgres.password, statement_timeout_s=0.05)
    pool = await connect_pool(settings, "test")
    with pytest.raises(Exception, match="statement timeout"):
        await pool.execute("SELECT pg_sleep(10)")
    await close_pool(pool)


async def test_migrations_are_applied_once(db: Connection) -> None:
    assert await migrate(db, "cca_projector") == []
    first, second = (
        Migration(1, "0001_a.sql", "CREATE TABLE cca.a ()"),
        Migration(2, "0002_b.sql", "CREATE TABLE cca.b ()"),
    )

    assert await apply(db, "test", [first]) == ["0001_a.sql"]
    assert await apply(db, "test", [first, second]) == ["0002_b.sql"]
    assert await apply(db, "test", [first]) == []


async def test_a_migration_that_fails_leaves_nothing(db: Connection) -> None:
    broken = Migration(1, "0001_a.sql", "CREATE TABLE cca.a (); SELECT 1/0")
    with pytest.raises(Exception, match="division by zero"):
        await apply(db, "test", [broken])

    assert await db.fetchval("SELECT to_regclass('cca.a')") is None
    assert await db.fetchval("SELECT count(*) FROM cca.migrations WHERE owner = 'test'") == 0


async def test_a_changed_migration_is_an_error(db: Connection) -> None:
    await apply(db, "test", [Migration(1, "0001_a.sql", "CREATE TABLE cca.a ()")])
    with pytest.raises(Misconfigured, match=r"0001_a\.sql of test is not the one that was applied"):
        await apply(db, "test", [Migration(1, "0001_a.sql", "CREATE TABLE cca.a (x int)")])


async def test_services_that_start_at_once_migrate_once(postgres: PostgresSettings) -> None:
    pool = await connect_pool(postgres, "test")

    async def one() -> list[str]:
        async with pool.acquire() as connection:
            return await migrate(connection, "cca_projector")

    applied = await asyncio.gather(*(one() for _ in range(4)))
    assert sorted(name for names in applied for name in names) == [
        "0001_tables.sql",
        "0002_learning.sql",
        "0003_tokens.sql",
        "0004_context.sql",
    ]
    await close_pool(pool)
