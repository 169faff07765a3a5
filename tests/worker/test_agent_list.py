"""`cca agent list`, through a real gateway."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from cca import Client, Worker, keys
from cca.config import HttpSettings, NatsSettings, PostgresSettings, Settings
from cca.nats.bus import connect
from cca.worker import Task
from cca_gateway import __main__ as gateway_main
from cca_gateway.edge import Edge
from cca_gateway.routes import ROUTES
from cca_gateway.server import listening


async def nothing(task: Task) -> None: ...


@pytest.fixture
async def http(client: Client, nats: NatsSettings, tmp_path: Path) -> AsyncIterator[dict[str, str]]:
    """A gateway beside the router; what one needs to know of it. It needs no tables for its roster."""
    pepper = keys.new_pepper()
    key, stored = keys.new_key(pepper, name="admin")
    keys.save(tmp_path / "keys.json", (stored,))
    where = HttpSettings(port=0, keys_file=str(tmp_path / "keys.json"), pepper=pepper)
    nowhere = PostgresSettings(url="postgresql://cca@127.0.0.1:1/cca")
    async with AsyncExitStack() as stack:
        bus = await stack.enter_async_context(connect(nats, "cca_gateway"))
        gateway = await gateway_main.prepare(Settings(nats=nats, http=where, postgres=nowhere), bus, stack)
        port = await stack.enter_async_context(listening(Edge(gateway, ROUTES), "127.0.0.1", 0))
        stack.callback(gateway.close)
        yield {"CCA_HTTP_URL": f"http://127.0.0.1:{port}", "CCA_API_KEY": key}


async def listed(access: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "cca.cli.main", "agent", "list", *arguments]
    env = {**os.environ, **access}
    return await asyncio.to_thread(subprocess.run, command, env=env, capture_output=True, text=True, timeout=60)


async def test_the_live_workers_are_listed(http: dict[str, str]) -> None:
    async with Worker("backend", nothing, name="b-1", concurrency=3), Worker("docs", nothing, name="d-1", lane="fast"):
        table = await listed(http)
        found = json.loads((await listed(http, "--role", "docs", "--json")).stdout)
    rows = [line.split("\t")[:5] for line in table.stdout.splitlines()]
    assert rows == [["backend", "default", "b-1", "0", "3"], ["docs", "fast", "d-1", "0", "1"]], table.stderr
    assert [(one["agent"], one["role"], one["lane"], one["concurrency"]) for one in found] == [
        ("d-1", "docs", "fast", 1)
    ]
    gone = await listed(http, "--json")
    assert (gone.returncode, json.loads(gone.stdout)) == (0, [])


async def test_a_wrong_key_and_a_gateway_that_is_away_have_their_own_exit_codes(http: dict[str, str]) -> None:
    refused = await listed(http | {"CCA_API_KEY": "cca_local_wrong_key"})
    away = await listed({"CCA_HTTP_URL": "http://127.0.0.1:1", "CCA_API_KEY": "k"})
    assert (refused.returncode, away.returncode) == (2, 3)
    assert refused.stderr.startswith("Error: ") and "cannot reach the gateway" in away.stderr
