"""The embedded servers are the real ones, private, and survive kill -9 with what they promised to keep."""

import asyncio
import json
from urllib.parse import urlsplit

import asyncpg
import nats as nats_py
import pytest
from nats.aio.client import Client

from cca.config import NatsSettings, PostgresSettings
from cca.testing.servers import NatsServer, PostgresServer


async def _connect(settings: NatsSettings) -> Client:
    return await nats_py.connect(settings.url, user=settings.user, password=settings.password)


async def test_what_was_acknowledged_is_there_after_nats_was_killed(nats_server: NatsServer) -> None:
    connection = await _connect(nats_server.settings)
    await connection.jetstream().add_stream(name="S", subjects=["s"])
    await connection.jetstream().publish("s", b"kept")
    await connection.close()
    nats_server.kill()
    nats_server.start()
    connection = await _connect(nats_server.settings)
    message = await connection.jetstream().get_last_msg("S", "s")
    await connection.close()
    assert message.data == b"kept"


@pytest.mark.parametrize("who", [{}, {"user": "admin"}, {"user": "admin", "pass": "wrong"}])
async def test_nats_refuses_whoever_has_no_credentials(nats: NatsSettings, who: dict[str, str]) -> None:
    port = urlsplit(nats.url).port
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    assert (await reader.readline()).startswith(b"INFO ")
    writer.write(f"CONNECT {json.dumps(who)}\r\nPING\r\n".encode())
    assert (await reader.readline()).startswith(b"-ERR 'Authorization Violation'")
    writer.close()
    await writer.wait_closed()


async def test_a_test_starts_with_an_empty_jetstream(nats: NatsSettings) -> None:
    connection = await _connect(nats)
    assert await connection.jetstream().streams_info() == []
    await connection.jetstream().add_stream(name="LEFT", subjects=["left"])
    await connection.close()


async def test_a_test_starts_with_an_empty_jetstream_though_another_left_a_stream(nats: NatsSettings) -> None:
    connection = await _connect(nats)
    assert await connection.jetstream().streams_info() == []
    await connection.close()


async def test_postgres_has_vectors_and_the_role_is_no_superuser(postgres: PostgresSettings) -> None:
    connection = await asyncpg.connect(postgres.url, password=postgres.password)
    assert await connection.fetchval("SELECT '[1,2]'::vector <-> '[1,3]'::vector") == 1.0
    assert await connection.fetchval("SHOW is_superuser") == "off"
    assert (await connection.fetchval("SHOW server_version")).startswith("18")
    await connection.execute("CREATE TABLE mine (n int)")
    await connection.close()


async def test_postgres_refuses_a_wrong_password(postgres: PostgresSettings) -> None:
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(postgres.url, password="wrong")


async def test_postgres_starts_again_after_it_was_killed(postgres_server: PostgresServer) -> None:
    settings = postgres_server.settings()
    connection = await asyncpg.connect(settings.url, password=settings.password)
    await connection.execute("CREATE TABLE kept AS SELECT 1 AS n")
    await connection.close()
    postgres_server.kill()
    postgres_server.start()
    connection = await asyncpg.connect(settings.url, password=settings.password)
    assert await connection.fetchval("SELECT n FROM kept") == 1
    await connection.close()
