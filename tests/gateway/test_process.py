"""The gateway as a process: it starts, says what is wrong, and stops."""

import asyncio
import os
import signal
import socket
import sys
from pathlib import Path

import aiohttp
import pytest
from tests.gateway.conftest import NOWHERE, eventually

from cca import keys
from cca.testing.servers import NatsServer


def environment(server: NatsServer, directory: Path, **more: str) -> dict[str, str]:
    pepper = keys.new_pepper()
    keys.save(directory / "keys.json", (keys.new_key(pepper, name="admin")[1],))
    return {
        **os.environ,
        "CCA_NATS_URL": server.settings.url,
        "CCA_NATS_USER": str(server.settings.user),
        "CCA_NATS_PASSWORD": str(server.settings.password),
        "CCA_POSTGRES_URL": NOWHERE.url,
        "CCA_HTTP_KEYS_FILE": str(directory / "keys.json"),
        "CCA_HTTP_PEPPER": pepper,
        "CCA_HTTP_PORT": str(free_port()),
        **more,
    }


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


async def started(environ: dict[str, str], directory: Path) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "cca_gateway",
        env=environ,
        cwd=directory,
        stderr=asyncio.subprocess.PIPE,
    )


@pytest.mark.usefixtures("nats")
@pytest.mark.covers("STAB-005")
async def test_it_starts_answers_and_stops_when_told(shared_nats: NatsServer, tmp_path: Path) -> None:
    environ = environment(shared_nats, tmp_path)
    process = await started(environ, tmp_path)
    try:
        async with aiohttp.ClientSession() as session:
            url = f"http://127.0.0.1:{environ['CCA_HTTP_PORT']}/livez"

            async def lives() -> bool:
                assert process.returncode is None
                try:
                    async with session.get(url) as response:
                        return response.status == 200
                except aiohttp.ClientError:
                    return False

            await eventually(lives, within=30)
            process.send_signal(signal.SIGTERM)
            _, said = await asyncio.wait_for(process.communicate(), 30)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0
    assert b"Traceback" not in said and b"ERROR" not in said, said


@pytest.mark.usefixtures("nats")
@pytest.mark.parametrize("wrong", ["CCA_HTTP_KEYS_FILE", "CCA_HTTP_PEPPER", "CCA_HTTP_PORT"])
async def test_what_is_misconfigured_is_named_in_a_sentence(
    shared_nats: NatsServer, tmp_path: Path, wrong: str
) -> None:
    environ = environment(shared_nats, tmp_path)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        if wrong == "CCA_HTTP_PORT":
            environ[wrong] = str(taken.getsockname()[1])
        else:
            del environ[wrong]
        process = await started(environ, tmp_path)
        _, said = await asyncio.wait_for(process.communicate(), 30)
    assert process.returncode == 2
    last = said.decode().strip().splitlines()[-1]
    assert last.startswith("cca_gateway: ") and wrong.removeprefix("CCA_HTTP_").lower() in last.lower()
    assert b"Traceback" not in said
