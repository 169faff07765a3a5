"""Agents that talk to JSON APIs: paged lists, a resource that is polled, objects of Kubernetes, configurations."""

import copy
import json
from typing import Any

from cca.bench.tokens.transcripts.briefs import ASSISTANT, OPERATOR, onwards, opening
from cca.bench.tokens.transcripts.clock import Clock
from cca.bench.tokens.transcripts.json_objects import Json, issue, job, order, user
from cca.bench.tokens.transcripts.pods import pod
from cca.bench.tokens.transcripts.script import Script, Transcript
from cca.bench.tokens.transcripts.words import COMPANIES, PACKAGES, REASONS, Words, fill, hexadecimal, uuid


def pretty(value: Any) -> str:
    """As `jq .` prints it."""
    return json.dumps(value, indent=2, ensure_ascii=False)


def pairs(value: Json, *keys: str) -> str:
    """The keys of an object that follow one another, as `jq .` prints them inside it, without what is before them."""
    text = json.dumps({key: value[key] for key in keys}, indent=2, ensure_ascii=False)
    return text[1:-1].strip()


def _pair(key: str, value: Any) -> str:
    return f"{json.dumps(key)}: {json.dumps(value, ensure_ascii=False)}"


def shop(seed: str) -> Transcript:
    """Orders that were paid twice: pages of orders, a list of jobs, and accounts."""
    script = Script(seed)
    rng = script.rng
    clock = Clock(rng)
    script.system(OPERATOR)
    script.user(
        "Three customers say that they were charged twice on Tuesday. Find their orders and what they have in common."
    )
    cursor = None
    for page in range(3):
        orders = [order(rng, clock) for _ in range(20)]
        odd = rng.choice(orders)
        odd["status"] = ("payment_disputed", "charged_twice", "refund_pending")[page]
        odd["metadata"]["note"] = (
            f"{rng.choice(REASONS)} at {rng.choice(('capture', 'authorisation', 'settlement'))}, "
            f"attempt {rng.randint(2, 9)}"
        )
        other = rng.choice([each for each in orders if each is not odd])
        other["discount"] = {"code": f"WINTER{rng.randint(10, 99)}", "amount": rng.randint(500, 4_000)}
        following = f"cur_{hexadecimal(rng, 20)}"
        answer = {"object": "list", "has_more": True, "next_cursor": following, "data": orders}
        query = f"?limit=20{f'&starting_after={cursor}' if cursor else ''}"
        script.call(
            "http",
            pretty(answer),
            opening(rng) if page == 0 else onwards(rng),
            method="GET",
            url=f"https://shop.internal/v1/orders{query}",
        )
        text = pretty(answer)
        place = text.index(odd["id"])
        script.fact(
            "id",
            _pair("id", odd["id"])
            + text[place + len(odd["id"]) + 1 : text.index(odd["status"], place)]
            + odd["status"]
            + '"',
        )
        script.fact("error", odd["metadata"]["note"])
        script.fact("number", _pair("code", other["discount"]["code"]))
        if page == 2:
            script.fact("id", following)
        cursor = following
    jobs = [job(rng, clock) for _ in range(36)]
    bad = rng.sample(jobs, 2)
    for each in bad:
        each["state"], each["attempt"] = "dead", 5
        each["error"] = {
            "code": rng.choice(("E_LOCKED", "E_CONFLICT")),
            "message": f"{each['payload']['tenant']}: {rng.choice(REASONS)} after {rng.randint(31, 90)}s",
        }
    script.call(
        "http",
        pretty({"jobs": jobs, "total": len(jobs)}),
        "And the jobs that captured them.",
        method="GET",
        url="https://jobs.internal/api/jobs?queue=capture&limit=36",
    )
    for each in bad:
        script.fact("error", each["error"]["message"])
        script.fact("id", each["job_id"])
    users = [user(rng, clock) for _ in range(25)]
    locked = rng.choice(users)
    locked["active"], locked["locked_reason"] = False, f"chargeback {rng.randint(100_000, 999_999)}"
    script.call(
        "http",
        json.dumps(users),
        onwards(rng),
        method="GET",
        url="https://directory.internal/api/users?group=customers",
    )
    script.fact("name", f'"locked_reason": "{locked["locked_reason"]}"')
    script.say(
        "All three were captured by jobs that ran into their fifth attempt; the first attempts "
        "had gone through, and only their answers were lost."
    )
    script.user("Refund all three today, and make capture idempotent by order number before anything else.")
    script.fact("decision", "make capture idempotent by order number before anything else")
    return script.end("json-shop", "json")


def polling(seed: str) -> Transcript:
    """A deployment that is watched until it is through: the same resource again and again, and the pods behind it."""
    script = Script(seed)
    rng = script.rng
    clock = Clock(rng)
    app = rng.choice(PACKAGES)
    image = f"registry.internal/{app}:{hexadecimal(rng, 8)}"
    script.system(OPERATOR)
    script.user(f"Roll out {image} and tell me when it is through, or why not.")
    pods = [pod(rng, clock, app, image) for _ in range(5)]
    sick = rng.choice(pods)
    status = sick["status"]["containerStatuses"][0]
    status["ready"], status["started"], status["restartCount"] = False, False, rng.randint(4, 17)
    code = rng.choice((137, 139, 78))
    status["lastState"] = {
        "terminated": {
            "containerID": status["containerID"],
            "exitCode": code,
            "reason": "Error",
            "message": f"config: {rng.choice(REASONS)}",
        }
    }
    status["state"] = {
        "waiting": {
            "message": (
                f"back-off {rng.choice((40, 80, 160))}s restarting failed container={app} "
                f"pod={sick['metadata']['name']}"
            ),
            "reason": "CrashLoopBackOff",
        }
    }
    sick["spec"]["containers"][0]["env"][2]["value"] = str(rng.choice((200, 400, 800)))
    rollout: Json = {
        "id": f"dep_{hexadecimal(rng, 12)}",
        "app": app,
        "image": image,
        "strategy": {
            "type": "canary",
            "steps": [5, 25, 50, 100],
            "pause_s": 120,
            "analysis": {"metric": "error_rate", "threshold": 0.01, "window_s": 300},
        },
        "status": "in_progress",
        "step": 0,
        "updated_at": clock.iso(),
        "replicas": {"desired": 20, "updated": 1, "ready": 20, "available": 20, "unavailable": 0},
        "analysis": {"error_rate": 0.0021, "p95_ms": 184, "samples": 1_204},
        "conditions": [
            {"type": kind, "status": "True", "reason": reason, "last_transition": clock.iso()}
            for kind, reason in (
                ("Progressing", "NewReplicaSetAvailable"),
                ("Available", "MinimumReplicasAvailable"),
                ("Healthy", "AnalysisRunning"),
            )
        ],
        "events": [],
        "links": {
            "self": f"https://deploy.internal/v2/rollouts/{hexadecimal(rng, 12)}",
            "logs": f"https://logs.internal/?app={app}",
            "dashboard": f"https://grafana.internal/d/{hexadecimal(rng, 9)}",
        },
    }
    script.call("http", pretty(rollout), opening(rng), method="POST", url="https://deploy.internal/v2/rollouts")
    script.fact("id", rollout["id"])
    rates = []
    for number in range(9):
        clock.tick(300)
        rollout = copy.deepcopy(rollout)
        rollout["updated_at"] = clock.iso()
        rollout["step"] = min(number // 3, 2)
        rollout["replicas"]["updated"] = (1, 1, 1, 5, 5, 5, 10, 10, 10)[number]
        rollout["analysis"] = {
            "error_rate": round(rng.uniform(0.001, 0.004), 4),
            "p95_ms": rng.randint(170, 200),
            "samples": rng.randint(900, 9_000),
        }
        rollout["events"].append({"at": clock.iso(), "type": "Normal", "message": f"analysis run {number + 1} passed"})
        if number >= 7:
            rollout["analysis"]["error_rate"] = round(rng.uniform(0.021, 0.09), 4)
            rollout["replicas"] |= {"ready": 21 - number, "available": 21 - number, "unavailable": number - 1}
            rollout["events"][-1] = {
                "at": clock.iso(),
                "type": "Warning",
                "message": f"analysis run {number + 1} failed: error_rate {rollout['analysis']['error_rate']} > 0.01",
            }
            rates.append(rollout["analysis"]["error_rate"])
        if number == 8:
            rollout["status"] = "aborted"
            rollout["abort_reason"] = f"2 analysis runs failed, rolled back to revision {rng.randint(100, 900)}"
        script.call(
            "http",
            pretty(rollout),
            "" if number else "Accepted. I'll poll it.",
            method="GET",
            url=rollout["links"]["self"],
        )
        if number == 3:
            script.fact("number", pairs(rollout["replicas"], "updated"))
        if number >= 7:
            script.fact("number", pairs(rollout["analysis"], "error_rate"))
            script.fact("error", rollout["events"][-1]["message"])
    script.fact("error", rollout["abort_reason"])
    script.fact("name", _pair("status", "aborted"))
    script.bash(
        f"kubectl get pods -n prod -l app={app} -o json",
        json.dumps({"apiVersion": "v1", "items": pods, "kind": "List"}, indent=4),
        "It was rolled back. The pods tell more.",
    )
    script.fact("name", status["state"]["waiting"]["message"])
    script.fact("number", f'"exitCode": {code}')
    script.fact("number", f'"restartCount": {status["restartCount"]}')
    script.fact("error", status["lastState"]["terminated"]["message"])
    script.fact("number", _pair("value", sick["spec"]["containers"][0]["env"][2]["value"]))
    script.say(
        "One of the new pods does not start: its pool size is not the one of the others, and the "
        "configuration is refused."
    )
    script.user("Then set POOL_SIZE back everywhere and try again tomorrow at nine, not today.")
    script.fact("decision", "try again tomorrow at nine, not today")
    return script.end("json-polling", "json")


def configurations(seed: str) -> Transcript:
    """Issues of a forge, and configuration files that contradict one another."""
    script = Script(seed)
    rng = script.rng
    clock = Clock(rng)
    words = Words(rng)
    script.system(ASSISTANT)
    script.user("Which of the open issues of the last weeks have to do with limits, and what are our limits actually?")
    issues = [issue(rng, clock) for _ in range(12)]
    one = rng.choice(issues)
    one["title"] = fill("Limit of $large $things is reached after $small minutes", words)
    one["milestone"] = {"title": f"{rng.randint(4, 9)}.{rng.randint(0, 9)}", "due_on": None}
    script.call(
        "http",
        json.dumps(issues),
        opening(rng),
        method="GET",
        url="https://api.forge.example/issues?state=all&per_page=12",
    )
    script.fact("name", one["title"])
    script.fact("name", f'"milestone": {{"title": "{one["milestone"]["title"]}"')
    limits: Json = {}
    for name in rng.sample(PACKAGES, 9):
        limits[name] = {
            "requests_per_minute": 600,
            "burst": 50,
            "max_body_bytes": 1_048_576,
            "timeout_s": 30,
            "retries": {"attempts": 3, "backoff_ms": [100, 400, 1600]},
            "enabled": True,
        }
    strange = rng.sample(sorted(limits), 3)
    limits[strange[0]]["requests_per_minute"] = rng.choice((45, 75, 90))
    limits[strange[1]]["timeout_s"] = rng.choice((2, 3, 7))
    limits[strange[2]]["enabled"] = False
    limits[strange[2]]["disabled_by"] = f"{rng.choice(COMPANIES).lower()}-oncall"
    document: Json = {"version": rng.randint(20, 90), "owner": "platform", "limits": limits, "revision": uuid(rng)}
    script.call("Read", pretty(document), onwards(rng), file_path="config/limits.json")
    script.fact("number", pairs(limits[strange[0]], "requests_per_minute"))
    script.fact("number", pairs(limits[strange[1]], "timeout_s"))
    script.fact("name", pairs(limits[strange[2]], "disabled_by"))
    script.fact("id", document["revision"])
    staging = copy.deepcopy(document)
    staging["revision"] = uuid(rng)
    name = rng.choice([each for each in limits if each not in strange])
    staging["limits"][name]["burst"] = rng.randint(51, 400)
    script.call("Read", pretty(staging), "And staging.", file_path="config/staging/limits.json")
    script.fact("number", pairs(staging["limits"][name], "burst"))
    package: Json = {
        "name": "@internal/gateway",
        "version": f"{rng.randint(2, 9)}.{rng.randint(0, 40)}.{rng.randint(0, 9)}",
        "private": True,
        "engines": {"node": f">={rng.choice((18, 20, 22))}.{rng.randint(1, 9)}"},
        "scripts": {"build": "tsc -b", "test": "vitest run", "limits": "node scripts/limits.mjs --strict"},
        "dependencies": {
            each: f"^{rng.randint(1, 9)}.{rng.randint(0, 30)}.0"
            for each in ("fastify", "pino", "undici", "zod", "ioredis", "p-limit")
        },
    }
    script.call("Read", pretty(package), onwards(rng), file_path="package.json")
    script.fact("number", _pair("node", package["engines"]["node"]))
    script.fact("number", pairs(package, "version"))
    script.say(
        "One issue speaks of it. Two services have limits of their own, and one has none because it was switched off."
    )
    script.user("Let us give every service the same limits, and drop the file for staging.")
    script.fact("decision", "give every service the same limits, and drop the file for staging")
    return script.end("json-configurations", "json")
