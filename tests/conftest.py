"""Real servers for every test that asks: missing ones skip the test here, and fail it where CI is true."""

import contextlib
import itertools
import os
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from typing import TypeVar

import asyncpg
import nats as nats_py
import pytest

from cca.config import NatsSettings, PostgresSettings
from cca.errors import Misconfigured
from cca.testing.servers import NatsServer, PostgresServer

S = TypeVar("S", NatsServer, PostgresServer)

# A shell without job control starts what it puts into the background with SIGINT ignored, and children inherit that:
# commands under test would never see a Ctrl-C.
signal.signal(signal.SIGINT, signal.default_int_handler)


def _started(make: Callable[[], S]) -> S:
    try:
        server = make()
        try:
            return server.start()
        except BaseException:
            server.close()
            raise
    except Misconfigured as missing:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(str(missing))


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test depends on the settings of the shell that runs it."""
    for name in [name for name in os.environ if name.startswith("CCA_")]:
        monkeypatch.delenv(name)


@pytest.fixture(scope="session")
def shared_nats() -> Iterator[NatsServer]:
    """The server behind `nats`. Do not kill it: take `nats_server` for that."""
    with _started(NatsServer) as server:
        yield server


@pytest.fixture
async def nats(shared_nats: NatsServer) -> AsyncIterator[NatsSettings]:
    """An empty JetStream that syncs always; what the test creates is removed after it."""
    yield shared_nats.settings
    await _forget_streams(shared_nats.settings)


async def _forget_streams(settings: NatsSettings) -> None:
    connection = await nats_py.connect(settings.url, user=settings.user, password=settings.password)
    try:
        jetstream = connection.jetstream()
        while streams := await jetstream.streams_info():  # one page at a time
            for stream in streams:
                await jetstream.delete_stream(str(stream.config.name))
    finally:
        await connection.close()


@pytest.fixture
def nats_server() -> Iterator[NatsServer]:
    """A server of the test's own, to be killed (`kill()`) and started again (`start()`) on the same port."""
    with _started(NatsServer) as server:
        yield server


@pytest.fixture(scope="session")
def shared_postgres() -> Iterator[PostgresServer]:
    """The server behind `postgres`. Do not kill it: take `postgres_server` for that."""
    with _started(PostgresServer) as server:
        yield server


_databases = itertools.count(1)


@pytest.fixture
async def postgres(shared_postgres: PostgresServer) -> AsyncIterator[PostgresSettings]:
    """An empty database with pgvector, for this test alone; the role owns it and is no superuser."""
    name = f"test_{next(_databases)}"
    superuser = shared_postgres.superuser()
    connection = await asyncpg.connect(superuser.url, password=superuser.password)
    try:
        await connection.execute(f"CREATE DATABASE {name} TEMPLATE template1 OWNER cca")
        yield shared_postgres.settings(name)
        await connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
    finally:
        with contextlib.suppress(OSError):
            await connection.close()


@pytest.fixture
def postgres_server() -> Iterator[PostgresServer]:
    """A server of the test's own, to be killed and started again."""
    with _started(PostgresServer) as server:
        yield server
