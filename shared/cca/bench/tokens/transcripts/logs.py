"""Agents that read logs: slow requests behind a proxy, a service that dies, a small failure of a nightly job."""

import json
import random
from collections.abc import Callable, Sequence
from typing import Any

from cca.bench.tokens.transcripts.briefs import OPERATOR, onwards, opening
from cca.bench.tokens.transcripts.clock import Clock
from cca.bench.tokens.transcripts.log_lines import (
    Service,
    access_line,
    app_line,
    java_line,
    java_trace,
    json_line,
    python_trace,
    system_line,
)
from cca.bench.tokens.transcripts.script import Script, Transcript
from cca.bench.tokens.transcripts.words import REASONS, hexadecimal, uuid

Line = Callable[..., str]


def routine(service: Service, clock: Clock, form: Line, count: int) -> list[str]:
    """So many lines of what always happens."""
    lines = []
    for _ in range(count):
        clock.tick()
        level, text, values = service.message()
        lines.append(form(service, clock, level, text, values))
    return lines


def placed(rng: random.Random, lines: list[str], events: Sequence[Sequence[str]]) -> list[str]:
    """Lines with events between them, in order, at random places in the last two thirds."""
    places = sorted(rng.sample(range(len(lines) // 3, len(lines)), len(events)))
    out: list[str] = []
    done = 0
    for place, event in zip(places, events, strict=True):
        out += [*lines[done:place], *event]
        done = place
    return out + lines[done:]


def latency(seed: str) -> Transcript:
    """Checkout is slow for some: access log of the proxy, JSON lines of the service, and of the one behind it."""
    script = Script(seed)
    rng = script.rng
    service, peer = Service(rng), Service(rng)
    clock = Clock(rng)
    pod, rid = service.hosts[0], uuid(rng)
    victim = f"/api/v2/{service.things[0]}s/{hexadecimal(rng, 12)}/confirm"
    script.system(OPERATOR)
    script.user(
        f"Since about {clock.now:%H:%M} UTC some customers of {service.name} see spinners for "
        f"half a minute and then an "
        "error page. p50 is fine. Find out what is going on, please."
    )
    lines = [access_line(service, clock) for _ in range(150) if clock.tick()]
    slow = f'"POST {victim} HTTP/2.0" 504 562 "-" "okhttp/4.12.0" rt=30.0{rng.randint(10, 99)} uct=0.001'
    gateway = f"{rng.randint(2, 9)}0{rng.randint(1, 9)}.0.113.{rng.randint(2, 250)} - - [{clock.access()}] {slow}"
    other = access_line(service, clock, 502, f"/api/v2/{service.things[1]}s/export")
    script.bash(
        "tail -n 152 /var/log/nginx/access.log", "\n".join(placed(rng, lines, [[gateway], [other]])), opening(rng)
    )
    script.fact("error", slow)
    script.fact("path", victim)
    script.fact("error", f'/api/v2/{service.things[1]}s/export HTTP/{"2.0" if "HTTP/2.0" in other else "1.1"}" 502')

    took = rng.randint(29_400, 29_990) + 0.5
    size = rng.choice((20, 24, 40))
    pool = f"pool exhausted: {size} of {size} connections in use, {rng.randint(31, 77)} waiting"
    error = f"confirm failed after {took}ms: {rng.choice(REASONS)}"
    warn = f"slow call to {peer.name}: budget {rng.choice((800, 1200, 1500))}ms exceeded"
    reload = f"configuration reloaded: max_connections {size} (was {rng.choice((64, 80, 96))})"

    def one(level: str, text: str, request: str | None = None) -> list[str]:
        values: dict[str, Any] = {"request_id": request or uuid(rng), "thing": service.things[0]}
        clock.tick(0.2)
        return [json_line(service, clock, level, text, values)]

    clock.tick(60)
    lines = routine(service, clock, json_line, 124)
    events = [
        one("INFO", reload),
        one("WARN", warn),
        one("WARN", warn),
        one("WARN", pool),
        one("ERROR", error, rid),
        one("WARN", warn),
    ]
    first = placed(rng, lines, events)
    script.bash(
        f"kubectl logs -n prod {pod} --tail=130", "\n".join(first), f"504 after 30 s on one route. Logs of {pod}."
    )
    script.fact("error", error)
    script.fact("error", warn)
    script.fact("error", pool)
    script.fact("number", reload)
    # A minute later the same again: most of it was there before.
    later = first[len(first) // 3 :] + routine(service, clock, json_line, 42)
    again = f"circuit breaker for {peer.name} is open, {rng.randint(12, 60)} failures in 30s"
    later = [*later[:-20], *one("ERROR", again), *later[-20:]]
    script.bash(f"kubectl logs -n prod {pod} --tail=130", "\n".join(later), "Is it still going on?")
    script.fact("error", again)

    rows = [line for line in [*first, *later] if rid in line]
    script.bash(
        f"kubectl logs -n prod -l app={service.name} --since=1h | grep {rid}",
        "\n".join(dict.fromkeys(rows)),
        onwards(rng),
    )
    lines = routine(peer, clock, json_line, 98)
    query = (
        f"statement took {rng.randint(11_000, 28_000)}ms: SELECT * FROM {peer.things[0]}_history "
        f"WHERE {peer.things[1]}_id = $1"
    )
    vacuum = f"autovacuum of {peer.things[0]}_history canceled by user {rng.randint(70, 99)}"
    values = {"request_id": rid, "thing": peer.things[0]}
    tell = [
        [json_line(peer, clock, "WARN", query, values)],
        [json_line(peer, clock, "INFO", vacuum, {"request_id": uuid(rng)})],
    ]
    script.bash(
        f"kubectl logs -n prod deploy/{peer.name} --since=20m | tail -n 100",
        "\n".join(placed(rng, lines, tell)),
        onwards(rng),
    )
    script.fact("error", query)
    script.fact("error", vacuum)
    script.say(
        "Cause: the pool of the confirm path was cut down by a configuration change, and one slow statement in the "
        "service behind it holds connections for most of the request's time. Evidence is quoted "
        "above. Now: put the old "
        "pool size back. Later: an index for the history table, and a limit on the statement's time."
    )
    script.user("Thanks. Put the old size back and open a ticket for the index; the time limit we discuss on Monday.")
    script.fact("decision", "Put the old size back and open a ticket for the index")
    return script.end("logs-latency", "logs")


def crash(seed: str) -> Transcript:
    """A JVM service dies at night: its own log with stack traces, and the system log of the node."""
    script = Script(seed)
    rng = script.rng
    service = Service(rng)
    clock = Clock(rng, step_ms=250)
    node = f"ip-10-42-{rng.randint(1, 200)}-{rng.randint(2, 250)}"
    script.system(OPERATOR)
    script.user(f"{service.name} restarted three times last night and two batches are missing. Why?")
    message = (
        f"{service.things[0]} {hexadecimal(rng, 10)} could not be settled: amount "
        f"{rng.randint(100, 999)}.{rng.randint(10, 99)} differs from {rng.randint(100, 999)}.{rng.randint(10, 99)}"
    )
    cause = (
        f"java.sql.SQLTransientConnectionException: HikariPool-1 - Connection is not available, "
        f"request timed out after {rng.randint(30_001, 30_900)}ms."
    )
    heap = (
        f"java.lang.OutOfMemoryError: Java heap space: failed reallocation of "
        f"{rng.randint(120, 500)}{rng.randint(100000, 999999)} bytes"
    )
    trace, again = java_trace(rng, service, message, cause), java_trace(rng, service, message, cause)
    lines = routine(service, clock, java_line, 280)
    request = uuid(rng)
    head = java_line(
        service,
        clock,
        "ERROR",
        f"settlement of batch B-{rng.randint(10_000, 99_999)} aborted",
        {"request_id": request, "thing": service.things[0]},
    )
    retry = f"retry 3 of 3 for batch B-{rng.randint(10_000, 99_999)} in {rng.randint(40, 90)}s"
    gc = (
        f"Pause Full (G1 Compaction Pause) {rng.randint(3800, 4000)}M-"
        f">{rng.randint(3700, 3799)}M(4096M) {rng.randint(2000, 9000)}.{rng.randint(100, 999)}ms"
    )
    quiet = {"request_id": uuid(rng), "thing": service.things[0]}
    events = [
        [head, *trace],
        [java_line(service, clock, "WARN", retry, quiet)],
        [java_line(service, clock, "WARN", gc, quiet)],
        [java_line(service, clock, "ERROR", f"settlement failed: {message}", quiet), *again],
        [java_line(service, clock, "ERROR", heap, quiet), *java_trace(rng, service, heap, heap)[1:8]],
    ]
    script.bash(
        f"kubectl logs -n prod {service.hosts[1]} --previous --tail=400",
        "\n".join(placed(rng, lines, events)),
        opening(rng),
    )
    batch = head.split("batch ")[1].split(" ")[0]
    script.fact("id", batch)
    script.fact("id", request[-12:])
    script.fact("error", message)
    script.fact("error", cause)
    script.fact("error", retry)
    script.fact("number", gc)
    script.fact("error", heap)

    pid, rss = rng.randint(9_000, 32_000), rng.randint(4_100_000, 4_290_000)
    killed = (
        f"Memory cgroup out of memory: Killed process {pid} (java) total-"
        f"vm:{rng.randint(9, 13)}{rng.randint(100000, 999999)}kB, anon-rss:{rss}kB"
    )
    disk = (
        f"EXT4-fs warning (device nvme1n1): ext4_dx_add_entry:2461: Directory (ino: "
        f"{rng.randint(100_000, 999_999)}) index full, reach max htree level :2"
    )
    syslog = [system_line(rng, clock, node) for _ in range(240) if clock.tick(8)]
    up = f"{rng.randint(100_000, 900_000)}.{rng.randint(100_000, 999_999)}"
    events = [
        [system_line(rng, clock, node, (f"kernel: [{up}] java invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), order=0, "
f"oom_score_adj=986")),
         system_line(rng, clock, node, f"kernel: [{up}] {killed}")],
        [system_line(rng, clock, node, f"kernel: [{up}] {disk}")],
    ]  # fmt: skip
    script.bash(
        f"ssh {node} journalctl --since '02:00' --no-pager | tail -n 243",
        "\n".join(placed(rng, syslog, events)),
        "The heap. What did the node say?",
    )
    script.fact("error", killed)
    script.fact("number", f"anon-rss:{rss}kB")
    script.fact("error", disk)
    started = (
        f"Started {service.name.capitalize()}Application in "
        f"{rng.randint(18, 40)}.{rng.randint(100, 999)} seconds (process running for "
        f"{rng.randint(41, 60)}.{rng.randint(100, 999)})"
    )
    options = (
        f"Picked up JAVA_TOOL_OPTIONS: -XX:MaxRAMPercentage={rng.choice((95, 96, 97))}.0 -XX:+ExitOnOutOfMemoryError"
    )
    lines = [
        options,
        *routine(service, clock, java_line, 40),
        java_line(service, clock, "INFO", started, quiet),
        *routine(service, clock, java_line, 120),
    ]
    script.bash(f"kubectl logs -n prod {service.hosts[1]} | head -n 162", "\n".join(lines), "And how does it start?")
    script.fact("number", options.split(": ")[1])
    script.fact("number", started.split(" (")[0])
    script.say(
        "The heap may take nearly all of the container's memory, so that what the JVM needs "
        "beside it gets it killed. The two batches were being settled at that moment, and their retries "
        "were used up while the pool was empty."
    )
    script.user("Then we go down to 75 percent and keep the limit at 4 GiB. Replay both batches by hand.")
    script.fact("decision", "we go down to 75 percent and keep the limit at 4 GiB")
    return script.end("logs-crash", "logs")


def nightly(seed: str) -> Transcript:
    """A nightly job failed: a short log of a Python program."""
    script = Script(seed)
    rng = script.rng
    service = Service(rng)
    clock = Clock(rng, step_ms=900)
    script.system(OPERATOR)
    script.user(f"The nightly {service.name} run was red. Is it safe to start it again?")

    def form(level: str, text: str, values: dict[str, Any]) -> str:
        return app_line(service, clock, level, text, values)

    quiet = {"request_id": uuid(rng), "thing": service.things[0]}
    skipped = f"skipped {rng.randint(3, 29)} rows of {service.things[1]}s_2025.csv: column 7 is not a date"
    error = (
        f"{service.name}.errors.StaleVersion: {service.things[0]} {hexadecimal(rng, 10)} has version "
        f"{rng.randint(11, 40)}, wanted {rng.randint(2, 10)}"
    )
    step = f"step 4/6 write_{service.things[0]}s failed after {rng.randint(200, 900)}.{rng.randint(1, 9)}s"
    saved = f"checkpoint written at row {rng.randint(100_000, 900_000)}"
    lines = routine(service, clock, app_line, 52)
    events = [
        [form("WARNING", skipped, quiet)],
        [form("INFO", saved, quiet)],
        [form("ERROR", step, quiet), *python_trace(rng, service, error)],
    ]
    exit_line = f"run 2025-{rng.randint(1000, 9999)} finished with exit code 3"
    text = "\n".join([*placed(rng, lines, events), form("INFO", exit_line, quiet)])
    script.call("Read", text, opening(rng), file_path=f"/var/log/{service.name}/nightly.log")
    script.fact("number", saved)
    script.fact("id", exit_line.split(" ")[1])
    for each in (skipped, error, step):
        script.fact("error", each)
    holder = f"worker-{rng.randint(2, 9)}"
    state = {
        "run": exit_line.split(" ")[1],
        "step": 4,
        "resume_from": int(saved.rsplit(" ", 1)[1]),
        "locks": [
            {
                "name": f"{service.name}-writer",
                "holder": holder,
                "expires_in_s": rng.randint(300, 3000),
            }
        ],
        "inputs": [f"s3://{service.name}-in/2025/{service.things[1]}s_2025.csv"],
    }
    script.bash(f"cat /var/lib/{service.name}/state.json", json.dumps(state, indent=2), "Where would it resume?")
    script.fact("number", f'"resume_from": {state["resume_from"]}')
    script.fact("name", f'"holder": "{holder}"')
    script.fact("path", f"s3://{service.name}-in/2025/{service.things[1]}s_2025.csv")
    lines = [line for line in routine(service, clock, app_line, 30) if "DEBUG" not in line]
    script.bash(f"grep -v DEBUG /var/log/{service.name}/worker.log | tail -n 30", "\n".join(lines), onwards(rng))
    script.say(
        "Yes, once the writer's lock has expired: it resumes from the checkpoint, and rows "
        "before it are not written twice."
    )
    script.user("Good. Start it at 06:00 and leave the skipped rows for Priya.")
    script.fact("decision", "Start it at 06:00 and leave the skipped rows for Priya.")
    return script.end("logs-nightly", "logs")
