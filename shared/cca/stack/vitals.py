"""Whether a running stack does its work: its servers asked as a client would, its tables compared with its log."""

import asyncio
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from cca.config import NatsSettings, PostgresSettings, load
from cca.errors import CcaError
from cca.nats import setup
from cca.nats.bus import Bus, connect
from cca.nats.follow import behind
from cca.stack import credentials, probe
from cca.stack.finding import Finding
from cca.stack.layout import Layout, State

if TYPE_CHECKING:
    from cca.postgres.pool import Connection

_LAG_PATIENCE_S = 3.0
_SKEW_S = 1.0


async def examine(layout: Layout, state: State) -> list[Finding]:
    """What a client finds when it uses the stack."""
    http = urlsplit(state.http_url)
    healthy = await probe.http_answers(http.hostname or "", http.port or 80, "/readyz")
    findings = [
        Finding("gateway", "ok", f"{state.http_url} is ready")
        if healthy
        else Finding("gateway", "fail", f"{state.http_url}/readyz does not say ready", "see logs/cca_gateway.log")
    ]
    try:
        async with connect(_nats(layout, state), "cca_doctor") as bus:
            findings += await _streams(bus, state)
            findings += await _postgres(layout, state, bus)
    except CcaError as error:
        findings.append(Finding("NATS", "fail", str(error), "see logs/nats.log; `cca status` says whether it runs"))
    return findings


def _nats(layout: Layout, state: State) -> NatsSettings:
    if "nats" in state.external:
        return load().nats
    key = credentials.read(layout.secrets, "admin_key")
    return NatsSettings(url=state.nats_url, user=credentials.ADMIN, password=key)


async def _streams(bus: Bus, state: State) -> list[Finding]:
    begun = time.perf_counter()
    await bus.flush()
    took = (time.perf_counter() - begun) * 1000
    findings = [Finding("NATS", "ok", f"{state.nats_url} answers in {took:.1f} ms")]
    found = await setup.sizes(bus)
    missing = [name for name, size in found.items() if size is None]
    sizes = [f"{name} {size[0]:,} messages, {size[1] / 1e6:.1f} MB" for name, size in found.items() if size]
    if missing:
        do = "every service makes them when it starts; see their logs"
        findings.append(Finding("streams", "fail", f"missing: {', '.join(missing)}", do))
    else:
        findings.append(Finding("streams", "ok", "; ".join(sizes)))
    return findings


async def _postgres(layout: Layout, state: State, bus: Bus) -> list[Finding]:
    from cca.postgres.pool import DATABASE, close_pool, connect_pool

    settings = load().postgres
    if "postgres" not in state.external:
        password = credentials.read(layout.secrets, "postgres_password")
        settings = PostgresSettings(url=state.postgres_url, password=password)
    try:
        pool = await connect_pool(settings, "cca_doctor", wait=False)
    except CcaError as error:
        return [Finding("PostgreSQL", "fail", str(error), "see logs/postgres.log")]
    try:
        async with pool.acquire() as connection:
            return [*await _server(connection), *await _projector(connection, bus)]
    except DATABASE as error:
        return [Finding("PostgreSQL", "fail", str(error), "see logs/postgres.log")]
    finally:
        await close_pool(pool)


async def _server(connection: "Connection") -> list[Finding]:
    version = await connection.fetchval("SHOW server_version")
    vector = await connection.fetchval("SELECT extversion FROM pg_extension WHERE extname = 'vector'")
    if vector:
        findings = [Finding("PostgreSQL", "ok", f"{version} with pgvector {vector}")]
    else:
        findings = [Finding("PostgreSQL", "fail", f"{version} without pgvector", "CREATE EXTENSION vector")]
    now = await connection.fetchval("SELECT clock_timestamp()")
    skew = abs((datetime.now(UTC) - now).total_seconds())
    if skew > _SKEW_S:
        text = f"PostgreSQL's clock is {skew:.1f} s away from ours"
        findings.append(Finding("clock", "warn", text, "run an NTP client on both machines"))
    return findings


async def _projector(connection: "Connection", bus: Bus) -> list[Finding]:
    """Whether each projection stands where the log stood when it was asked, or gets there soon."""
    rows = "SELECT name, seq, error FROM cca.projections ORDER BY name"
    deadline = time.monotonic() + _LAG_PATIENCE_S
    while True:
        found = await connection.fetch(rows)
        if not found:
            return [Finding("projector", "fail", "there are no projections", "see logs/cca_projector.log")]
        lags = {row["name"]: await behind(bus, row["seq"]) for row in found}
        if not any(lags[row["name"]] for row in found if not row["error"]) or time.monotonic() > deadline:
            break
        await asyncio.sleep(0.05)
    findings = []
    for row in found:
        name = f"projection {row['name']}"
        if row["error"]:
            text = f"stands at {row['seq']}: {row['error']}"
            findings.append(Finding(name, "fail", text, "cca projections status; then cca projections rebuild"))
        elif lag := lags[row["name"]]:
            text = f"at {row['seq']}, {lag} events behind"
            findings.append(Finding(name, "warn", text, "look again; if it does not move see logs/cca_projector.log"))
        else:
            findings.append(Finding(name, "ok", f"at {row['seq']}, up to date"))
    return findings
