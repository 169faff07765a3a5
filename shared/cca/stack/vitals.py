"""Whether a running stack does its work: its servers asked as a client would, its tables compared with its log."""

import asyncio
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from nats.errors import Error as NatsError
from nats.js.errors import NotFoundError

from cca.config import NatsSettings, PostgresSettings, load
from cca.errors import CcaError
from cca.nats import streams, subjects
from cca.nats.bus import Bus, connect
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
    js = bus.nc.jetstream(timeout=5)
    missing, sizes = [], []
    for stream in streams.declared():
        name = str(stream.name)
        try:
            info = await js.stream_info(name)
            sizes.append(f"{name} {info.state.messages:,} messages, {info.state.bytes / 1e6:.1f} MB")
        except NotFoundError:
            missing.append(name)
        except (NatsError, TimeoutError) as error:
            missing.append(f"{name} ({error or 'no answer'})")
    if missing:
        do = "every service makes them when it starts; see their logs"
        findings.append(Finding("streams", "fail", f"missing: {', '.join(missing)}", do))
    else:
        findings.append(Finding("streams", "ok", "; ".join(sizes)))
    return findings


async def _postgres(layout: Layout, state: State, bus: Bus) -> list[Finding]:
    import asyncpg

    settings = load().postgres
    if "postgres" not in state.external:
        password = credentials.read(layout.secrets, "postgres_password")
        settings = PostgresSettings(url=state.postgres_url, password=password)
    try:
        connection = await asyncpg.connect(settings.url, password=settings.password, timeout=5)
    except (OSError, TimeoutError, asyncpg.PostgresError, ValueError) as error:
        return [Finding("PostgreSQL", "fail", f"{state.postgres_url}: {error}", "see logs/postgres.log")]
    try:
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
        findings += await _projector(connection, bus)
        return findings
    except asyncpg.PostgresError as error:
        return [Finding("PostgreSQL", "fail", str(error), "see logs/postgres.log")]
    finally:
        await connection.close()


async def _projector(connection: "Connection", bus: Bus) -> list[Finding]:
    """Whether each projection stands where the log stood when it was asked, or gets there soon."""
    rows = "SELECT name, seq, error FROM cca.projections ORDER BY name"
    try:
        last = await bus.nc.jetstream(timeout=5).get_last_msg(streams.EVENTS, subjects.EVENTS_ALL)
        target = last.seq or 0
    except NotFoundError:
        target = 0
    except (NatsError, TimeoutError) as error:
        return [Finding("projector", "fail", f"the log cannot be read: {error}", "see logs/nats.log")]
    deadline = time.monotonic() + _LAG_PATIENCE_S
    while True:
        found = await connection.fetch(rows)
        if not found:
            return [Finding("projector", "fail", "there are no projections", "see logs/cca_projector.log")]
        behind = [row for row in found if row["seq"] < target and not row["error"]]
        if not behind or time.monotonic() > deadline:
            break
        await asyncio.sleep(0.05)
    findings = []
    for row in found:
        name = f"projection {row['name']}"
        if row["error"]:
            text = f"stands at {row['seq']}: {row['error']}"
            findings.append(Finding(name, "fail", text, "cca projections status; then cca projections rebuild"))
        elif row["seq"] < target:
            text = f"at {row['seq']} of {target}, {target - row['seq']} behind"
            findings.append(Finding(name, "warn", text, "look again; if it does not move see logs/cca_projector.log"))
        else:
            findings.append(Finding(name, "ok", f"at {row['seq']}, up to date"))
    return findings
