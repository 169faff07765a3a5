"""Incidents: alerts, clusters, logs, metrics, a diff, a database, and decisions in between."""

import json
import random
from typing import Any

from cca.bench.tokens.transcripts.briefs import OPERATOR, onwards, opening
from cca.bench.tokens.transcripts.clock import Clock
from cca.bench.tokens.transcripts.log_lines import Service, app_line, json_line, python_trace, system_line
from cca.bench.tokens.transcripts.logs import placed, routine
from cca.bench.tokens.transcripts.pods import pod
from cca.bench.tokens.transcripts.project import project, unified
from cca.bench.tokens.transcripts.prose import paragraph
from cca.bench.tokens.transcripts.psql import aligned, plan
from cca.bench.tokens.transcripts.script import Script, Transcript
from cca.bench.tokens.transcripts.words import REASONS, Words, address, fill, hexadecimal, suffix, uuid


def pods_table(rng: random.Random, apps: list[str], sick: str, restarts: int) -> str:
    """`kubectl get pods -o wide`."""
    lines = [
        (
            "NAME                                   READY   STATUS             RESTARTS         AGE  "
            "   IP               NODE"
        )
    ]
    for app in apps:
        for _ in range(rng.randint(2, 5)):
            lines.append(
                f"{f'{app}-{hexadecimal(rng, 9)}-{suffix(rng)}':<38} 1/1     Running            0 "
                f"               {rng.randint(1, 40)}d{rng.randint(1, 23):<4}  {address(rng):<16} ip-10-42-"
                f"{rng.randint(1, 200)}-{rng.randint(2, 250)}"
            )
    lines.insert(
        rng.randint(5, len(lines)),
        (
            f"{sick:<38} 0/1     CrashLoopBackOff   {restarts} (2m11s ago)   {rng.randint(20, 59)}m   "
            f" {address(rng):<16} ip-10-42-{rng.randint(1, 200)}-{rng.randint(2, 250)}"
        ),
    )
    return "\n".join(lines)


def samples(rng: random.Random, clock: Clock, name: str, series: int, peak: float) -> dict[str, Any]:
    """What Prometheus answers to a range query; one series leaves the others."""
    start = int(clock.now.timestamp())
    result = []
    odd = rng.randint(0, series - 1)
    for number in range(series):
        level = rng.uniform(0.05, 0.3)
        values = [[start + 60 * step, f"{level * rng.uniform(0.9, 1.1):.4f}"] for step in range(30)]
        if number == odd:
            values[22][1] = f"{peak}"
        result.append(
            {
                "metric": {
                    "__name__": name,
                    "instance": f"{address(rng)}:9090",
                    "job": "api",
                    "pod": f"api-{suffix(rng)}",
                },
                "values": values,
            }
        )
    return {"status": "success", "data": {"resultType": "matrix", "result": result}}


def outage(seed: str) -> Transcript:
    """A deployment takes a service down: from the alert to the roll-back."""
    script = Script(seed)
    rng = script.rng
    service, clock = Service(rng), Clock(rng)
    repository = project(rng, "python", modules=8)
    sick, restarts = f"{service.name}-{hexadecimal(rng, 9)}-{suffix(rng)}", rng.randint(6, 40)
    summary = f"{rng.randint(11, 48)}.{rng.randint(1, 9)}% of requests fail"
    alert = {
        "status": "firing",
        "labels": {"alertname": "ErrorBudgetBurn", "service": service.name, "severity": "page", "region": "eu-west-1"},
        "annotations": {
            "summary": summary,
            "runbook_url": f"https://runbooks.internal/{service.name}/burn#{hexadecimal(rng, 4)}",
        },
        "startsAt": clock.iso(),
        "fingerprint": hexadecimal(rng, 16),
    }
    script.system(OPERATOR)
    script.user("PAGE:\n" + json.dumps({"receiver": "oncall", "alerts": [alert]}, indent=2))
    script.fact("number", summary)
    script.fact("id", str(alert["fingerprint"]))
    script.bash(
        "kubectl get pods -n prod -o wide",
        pods_table(
            rng, [service.name, *service.peers, *rng.sample(("web", "auth", "cron", "mail", "edge"), 5)], sick, restarts
        ),
        opening(rng),
    )
    script.fact("id", sick)
    script.fact("number", f"{restarts} (2m11s ago)")
    error = (
        f"{service.name}.settings.BadSetting: {rng.choice(REASONS)} (key "
        f"{rng.choice(('pool', 'cache', 'queue'))}.{rng.choice(('size', 'ttl', 'depth'))}={rng.randint(1_000, 90_000)})"
    )
    quiet = {"request_id": uuid(rng), "thing": service.things[0]}
    warn = f"falling back to defaults, {rng.randint(3, 19)} settings not understood"
    lines = routine(service, clock, app_line, 150)
    events = [
        [app_line(service, clock, "WARNING", warn, quiet)],
        [app_line(service, clock, "CRITICAL", "cannot start", quiet), *python_trace(rng, service, error)],
    ]
    script.bash(f"kubectl logs -n prod {sick} --previous", "\n".join(placed(rng, lines, events)), onwards(rng))
    script.fact("error", error)
    script.fact("error", warn)
    peak = round(rng.uniform(4, 30), 2)
    metrics = samples(rng, clock, "request_latency_seconds_p99", 8, peak)
    script.call(
        "http",
        json.dumps(metrics),
        onwards(rng),
        method="GET",
        url="https://prometheus.internal/api/v1/query_range?query=request_latency_seconds_p99&step=60",
    )
    script.fact("number", f'"{peak}"')
    path = rng.choice(repository.sources)
    before = repository.files[path].split("\n")
    after = list(before)
    at = next(number for number, line in enumerate(after) if " = " in line and line[:1].isupper())
    changed = f"{after[at].split(' = ')[0]} = {rng.randint(10_000, 90_000)}"
    after[at] = changed
    log = (
        f"commit {hexadecimal(rng, 40)}\nAuthor: {fill('$Person', Words(rng))} <dev@example.com>\n\n  "
        f"  {fill('$Package: raise $field, $things were $adj', Words(rng))}\n"
    )
    script.bash("git show HEAD", f"{log}\n{unified(path, before, after)}", "What was deployed last?")
    script.fact("id", log.split("\n")[0].split(" ")[1])
    script.fact("number", f"+{changed}")
    script.say("The new value does not fit the setting; the pod refuses to start. I propose to roll back.")
    script.user("Roll back to the previous revision. Do not restart the peers.")
    script.fact("decision", "Roll back to the previous revision. Do not restart the peers.")
    lines = routine(service, clock, json_line, 90)
    after_all = f"recovered: {rng.randint(200, 9_000)} queued requests replayed in {rng.randint(3, 60)}s"
    script.bash(
        f"kubectl logs -n prod deploy/{service.name} --since=5m",
        "\n".join(placed(rng, lines, [[json_line(service, clock, "INFO", after_all, quiet)]])),
        "Rolled back. Is it healthy?",
    )
    script.fact("number", after_all)
    script.bash(
        "kubectl get pods -n prod -o wide",
        pods_table(rng, [service.name, *service.peers], f"{service.name}-canary-{suffix(rng)}", rng.randint(41, 60)),
    )
    script.say(f"It recovers. {paragraph(rng, 3)}")
    script.user("Good work. Postmortem on Thursday, owner is Farah.")
    script.fact("decision", "Postmortem on Thursday, owner is Farah.")
    return script.end("incident-outage", "incident")


def slowness(seed: str) -> Transcript:
    """Everything is slow: metrics, database, node, and a configuration."""
    script = Script(seed)
    rng = script.rng
    service, clock = Service(rng), Clock(rng)
    words = Words(rng)
    script.system(OPERATOR)
    script.user(f"{service.name} is slow in us-east-2 only. Started around {clock.now:%H:%M}. Thoughts?")
    peak = round(rng.uniform(3, 19), 3)
    script.call(
        "http",
        json.dumps(samples(rng, clock, "pg_stat_activity_max_tx_duration", 6, peak), indent=1),
        opening(rng),
        method="GET",
        url="https://prometheus.internal/api/v1/query_range?query=pg_stat_activity_max_tx_duration",
    )
    script.fact("number", f'"{peak}"')
    text, scan, total = plan(rng, words["things"], slow=True)
    script.bash("psql -h us-east-2 -c 'EXPLAIN (ANALYZE, BUFFERS) ...'", text, onwards(rng))
    script.fact("name", scan)
    script.fact("number", total)
    rows = [
        [
            f"{words['things']}_{part}",
            rng.randint(10**5, 10**7),
            rng.randint(0, 9_000),
            f"2025-0{rng.randint(1, 9)}-1{rng.randint(0, 9)} 0{rng.randint(1, 9)}:14",
        ]
        for part in range(36)
    ]
    dead = rng.choice(rows)
    dead[2], dead[3] = rng.randint(4_000_000, 9_000_000), "never"
    script.bash(
        "psql -h us-east-2 -c 'select relname, n_live_tup, n_dead_tup, last_autovacuum ...'",
        aligned(("relname", "n_live_tup", "n_dead_tup", "last_autovacuum"), rows),
        onwards(rng),
    )
    script.fact("number", str(dead[2]))
    script.fact("name", str(dead[0]))
    node = f"db-{hexadecimal(rng, 6)}"
    noise = [system_line(rng, clock, node) for _ in range(130) if clock.tick(9)]
    slow_disk = f"kernel: nvme nvme1: I/O {rng.randint(100, 900)} QID {rng.randint(1, 16)} timeout, completion polled"
    throttled = (
        f"amazon-cloudwatch-agent[{rng.randint(900, 9_000)}]: volume vol-{hexadecimal(rng, 17)} burst "
        f"balance {rng.randint(1, 9)}%"
    )
    script.bash(
        f"ssh {node} journalctl -n 133 --no-pager",
        "\n".join(
            placed(
                rng,
                noise,
                [
                    [system_line(rng, clock, node, slow_disk)],
                    [system_line(rng, clock, node, throttled)],
                    [system_line(rng, clock, node, slow_disk)],
                ],
            )
        ),
        onwards(rng),
    )
    script.fact("error", slow_disk.removeprefix("kernel: "))
    script.fact("number", throttled.split("]: ")[1])
    config = "\n".join(
        f"{key} = {value}"
        for key, value in (
            ("listen_addresses", "'*'"),
            ("max_connections", rng.choice((310, 450))),
            ("shared_buffers", "'8GB'"),
            ("work_mem", f"'{rng.choice((3, 6))}MB'"),
            ("maintenance_work_mem", "'1GB'"),
            ("autovacuum", "off"),
            ("random_page_cost", f"{rng.choice((1.3, 1.7, 3.1))}"),
            ("log_min_duration_statement", rng.randint(151, 900)),
            ("wal_level", "replica"),
        )
    )
    script.call("Read", config, onwards(rng), file_path="/etc/postgresql/16/main/conf.d/us-east-2.conf")
    script.fact("name", "autovacuum = off")
    script.fact("number", next(line for line in config.split("\n") if line.startswith("log_min")))
    script.say(
        "Vacuum is off in that region. Dead rows pile up, each report reads them all, and the "
        "volume has used up its burst."
    )
    script.user("Turn autovacuum on there now, throttled to cost limit 400, and move the volume to gp3 next week.")
    script.fact("decision", "Turn autovacuum on there now, throttled to cost limit 400")
    lines = routine(service, clock, json_line, 70)
    script.bash(
        f"kubectl --context us-east-2 logs -n prod deploy/{service.name} --tail=70",
        "\n".join(lines),
        "Done. The service itself, for the record.",
    )
    script.say(paragraph(rng, 3))
    return script.end("incident-slowness", "incident")


def certificate(seed: str) -> Transcript:
    """A certificate has expired: a short incident."""
    script = Script(seed)
    rng = script.rng
    service, clock = Service(rng), Clock(rng)
    host = f"{service.name}.partner-{hexadecimal(rng, 4)}.example"
    script.system(OPERATOR)
    script.user("Partner calls fail since midnight UTC, ours work. Can you see why?")
    quiet = {"request_id": uuid(rng), "thing": service.things[0]}
    error = (
        f"TLS handshake with {host} failed: x509: certificate has expired or is not yet valid: "
        f"current time is after 2025-0{rng.randint(1, 9)}-{rng.randint(10, 28)}T00:00:00Z"
    )
    opened = f"breaker {service.name}-out opened after {rng.randint(11, 60)} failures"
    lines = routine(service, clock, json_line, 45)
    script.bash(
        f"kubectl logs -n prod deploy/{service.name} --since=10m",
        "\n".join(
            placed(
                rng,
                lines,
                [
                    [json_line(service, clock, "ERROR", error, quiet)],
                    [json_line(service, clock, "WARN", opened, quiet)],
                ],
            )
        ),
        opening(rng),
    )
    script.fact("error", error)
    script.fact("error", opened)
    serial = hexadecimal(rng, 32)
    expired = error.rsplit("after ", 1)[1]
    chain = f"""Certificate:
    Data:
        Serial Number: {serial}
        Issuer: C=DE, O={service.peers[0].capitalize()} CA, CN=Issuing G{rng.randint(2, 5)}
        Validity
            Not Before: Mar  1 00:00:00 2024 GMT
            Not After : {expired}
        Subject: CN={host}
        X509v3 extensions:
            Subject Alternative Name: DNS:{host}
            Key Usage: critical Digital Signature"""
    script.bash(f"openssl s_client -connect {host}:443 | openssl x509 -noout -text", chain, onwards(rng))
    script.fact("id", serial)
    script.fact("name", chain.split("Issuer: ")[1].split("\n")[0])
    image = f"registry.internal/{service.name}:{hexadecimal(rng, 8)}"
    sick = pod(rng, clock, service.name, image)
    sick["spec"]["containers"][0]["env"].append(
        {"name": "PARTNER_CA", "value": f"/etc/tls/ca-{rng.randint(2019, 2024)}.pem"}
    )
    script.bash(
        f"kubectl get pod -n prod {sick['metadata']['name']} -o json", json.dumps(sick, indent=4), "What do we trust?"
    )
    script.fact("path", sick["spec"]["containers"][0]["env"][-1]["value"])
    script.fact("name", image)
    secrets = aligned(
        ("name", "type", "data", "age"),
        [
            [
                f"{rng.choice(service.things)}-{suffix(rng)}",
                rng.choice(("Opaque", "kubernetes.io/tls")),
                rng.randint(1, 5),
                f"{rng.randint(3, 400)}d",
            ]
            for _ in range(18)
        ]
        + [["partner-tls-next", "kubernetes.io/tls", 3, f"{rng.randint(401, 480)}d"]],
    )
    script.bash("kubectl get secrets -n prod", secrets, onwards(rng))
    script.fact("name", "partner-tls-next")
    script.say(
        "The partner's certificate has expired; a new one has been waiting in a secret for more "
        "than a year, and nothing refers to it."
    )
    script.user("Mount the new secret in all pods, and page the partner at 07:00 their time.")
    script.fact("decision", "Mount the new secret in all pods, and page the partner at 07:00 their time.")
    script.user(f"Their contact is {fill('$Person', Words(rng))}, case {hexadecimal(rng, 8).upper()}.")
    script.fact("id", script.turns[-1].text.rsplit("case ", 1)[1].rstrip("."))
    return script.end("incident-certificate", "incident")
