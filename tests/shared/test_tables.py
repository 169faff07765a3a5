"""Tables whose server is killed, stopped or slow: who asks hears so at once, and it passes by itself (ARCH-001, H7)."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import numpy as np
import pytest
from msgspec.structs import replace

from cca.config import PostgresSettings
from cca.errors import Busy
from cca.postgres.halfvec import packed, unpacked
from cca.postgres.pool import Connection
from cca.postgres.tables import Tables, connect
from cca.testing.servers import PostgresServer

AT_ONCE_S = 0.05
"""So long, at most, does who asks wait for the word that the server does not answer."""


@asynccontextmanager
async def opened(settings: PostgresSettings, timeout_s: float = 0.5) -> AsyncIterator[Tables]:
    async with connect(replace(settings, statement_timeout_s=timeout_s), "test") as tables:
        await eventually_answers(tables)
        yield tables


def state(tables: Tables) -> str:
    return tables.breaker.state


async def answers(tables: Tables) -> bool:
    try:
        return [row[0] for row in await tables.rows("SELECT 1")] == [1]
    except Busy:
        return False


async def eventually_answers(tables: Tables) -> None:
    async with asyncio.timeout(60):
        while not await answers(tables):
            await asyncio.sleep(0.02)


async def eventually(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not holds():
            await asyncio.sleep(0.02)


async def fail_three_times(tables: Tables) -> None:
    async with asyncio.timeout(60):
        for _ in range(3):
            with pytest.raises(Busy):
                await tables.rows("SELECT 1")


async def refusals(tables: Tables, times: int = 50) -> list[float]:
    """Seconds that each refusal took."""
    took = []
    for _ in range(times):
        began = time.perf_counter()
        with pytest.raises(Busy, match="it is asked again in"):
            await tables.rows("SELECT 1")
        took.append(time.perf_counter() - began)
    return took


def family(pid: int) -> list[int]:
    """A process and its children: a server that is stopped answers nobody with any of them."""
    with open(f"/proc/{pid}/task/{pid}/children") as file:
        return [pid, *map(int, file.read().split())]


@pytest.mark.covers("ARCH-001", "H7")
async def test_a_server_that_was_killed_is_not_asked_after_three_failures_and_is_found_again(
    postgres_server: PostgresServer,
) -> None:
    async with opened(postgres_server.settings()) as tables:
        postgres_server.kill()
        await fail_three_times(tables)
        assert state(tables) == "open" and tables.breaker.opened == 1
        assert sorted(await refusals(tables))[25] < AT_ONCE_S  # the median: one may meet the garbage collector
        postgres_server.start()
        await eventually_answers(tables)
        assert state(tables) == "closed"


@pytest.mark.covers("ARCH-001", "H7")
async def test_a_server_that_is_stopped_is_not_asked_after_three_failures_and_is_found_again(
    postgres_server: PostgresServer,
) -> None:
    async with opened(postgres_server.settings()) as tables:
        frozen = family(postgres_server.pid)
        for pid in frozen:
            os.kill(pid, signal.SIGSTOP)
        try:
            await fail_three_times(tables)
            assert state(tables) == "open"
            assert sorted(await refusals(tables))[25] < AT_ONCE_S
        finally:
            for pid in frozen:
                os.kill(pid, signal.SIGCONT)
        await eventually_answers(tables)
        assert state(tables) == "closed"


async def test_a_statement_on_a_connection_of_ones_own_is_given_up_too(postgres_server: PostgresServer) -> None:
    async with opened(postgres_server.settings()) as tables:
        frozen = family(postgres_server.pid)

        async def stop_in_the_middle() -> None:
            async with tables.connection() as connection, connection.transaction():
                for pid in frozen + family(postgres_server.pid):
                    os.kill(pid, signal.SIGSTOP)
                await connection.fetch("SELECT 1")

        try:
            with pytest.raises(Busy):
                async with asyncio.timeout(60):
                    await stop_in_the_middle()
        finally:
            for pid in family(postgres_server.pid):
                os.kill(pid, signal.SIGCONT)
        await eventually_answers(tables)


async def test_many_who_ask_at_once_wait_no_longer_than_one(postgres_server: PostgresServer) -> None:
    async with opened(postgres_server.settings()) as tables:
        postgres_server.kill()
        async with asyncio.timeout(60):
            found = await asyncio.gather(*(tables.rows("SELECT 1") for _ in range(40)), return_exceptions=True)
        assert {type(error) for error in found} == {Busy}
        assert state(tables) == "open"


async def test_a_query_that_takes_too_long_says_nothing_of_the_server(postgres: PostgresSettings) -> None:
    async with opened(postgres, timeout_s=0.1) as tables:
        for _ in range(4):
            with pytest.raises(Busy):
                await tables.rows("SELECT pg_sleep(1)")
        assert state(tables) == "closed"
        assert await answers(tables)


async def test_a_mistake_in_a_query_says_nothing_of_the_server(postgres: PostgresSettings) -> None:
    async with opened(postgres) as tables:
        for _ in range(4):
            with pytest.raises(Exception, match="division by zero"):
                await tables.rows("SELECT 1 / 0")
            with pytest.raises(Busy, match="not there yet"):
                await tables.rows("SELECT * FROM cca.nowhere")
        assert state(tables) == "closed"


async def test_who_goes_away_while_trying_does_not_keep_others_from_it(postgres_server: PostgresServer) -> None:
    async with opened(postgres_server.settings()) as tables:
        postgres_server.kill()
        await fail_three_times(tables)
        postgres_server.start()
        await eventually(lambda: tables.breaker.remaining(asyncio.get_running_loop().time()) == 0)
        trying = asyncio.create_task(tables.rows("SELECT pg_sleep(30)"))
        await eventually(lambda: tables.breaker.state == "half-open")
        trying.cancel()
        await asyncio.gather(trying, return_exceptions=True)
        await eventually_answers(tables)


async def test_types_that_a_service_makes_when_it_starts_are_known_to_all_its_connections(
    postgres_server: PostgresServer,
) -> None:
    async def prepare(connection: Connection) -> None:
        await connection.execute("DROP EXTENSION vector; CREATE EXTENSION vector WITH SCHEMA public")

    async with connect(postgres_server.superuser("cca"), "test", prepare) as tables:
        await eventually_answers(tables)
        given = np.linspace(-1, 1, 7, dtype=np.float32)
        (row,) = await tables.rows("SELECT $1::halfvec AS one, ARRAY[$1::halfvec] AS more", packed(given))
        assert np.allclose(unpacked(row["one"]), given, atol=1e-3)
        assert row["more"] == [row["one"]]
