"""Objects as the APIs of the world return them: orders, users, jobs, issues."""

import random
from typing import Any

from cca.bench.tokens.transcripts.clock import Clock
from cca.bench.tokens.transcripts.words import (
    CITIES,
    COLOURS,
    COMPANIES,
    PRODUCTS,
    STREETS,
    Words,
    address,
    fill,
    hexadecimal,
    person,
    uuid,
)

Json = dict[str, Any]


def order(rng: random.Random, clock: Clock) -> Json:
    """An order of a shop, with lines, an address and totals."""
    name = person(rng)
    lines: list[Json] = []
    for _ in range(rng.choices((1, 2, 3, 4), (5, 4, 2, 1))[0]):
        quantity, price = rng.randint(1, 5), rng.randint(300, 24_000)
        product, colour = rng.choice(PRODUCTS), rng.choice(COLOURS)
        lines.append(
            {
                "sku": f"{product[:3].upper()}-{colour[:2].upper()}-{rng.randint(10, 99)}",
                "title": f"{colour.capitalize()} {product}",
                "quantity": quantity,
                "unit_price": {"amount": price, "currency": "EUR"},
                "total": quantity * price,
            }
        )
    total = sum(line["total"] for line in lines)
    clock.tick(400)
    return {
        "id": f"ord_{hexadecimal(rng, 16)}",
        "object": "order",
        "number": f"{rng.randint(100_000, 999_999)}",
        "status": rng.choices(("paid", "shipped", "delivered", "open"), (30, 30, 30, 10))[0],
        "created_at": clock.iso(),
        "customer": {
            "id": f"cus_{hexadecimal(rng, 14)}",
            "name": name,
            "email": f"{name.lower().replace(' ', '.')}@example.com",
            "vip": rng.random() < 0.1,
        },
        "shipping_address": {
            "line1": f"{rng.choice(STREETS)} Street {rng.randint(1, 180)}",
            "line2": None,
            "city": rng.choice(CITIES),
            "postal_code": str(rng.randint(10_000, 99_999)),
            "country": rng.choice(("DE", "PT", "FI", "NL", "ES", "IE")),
        },
        "lines": lines,
        "subtotal": total,
        "shipping": rng.choice((0, 490, 690)),
        "tax": round(total * 0.19),
        "discount": None,
        "currency": "EUR",
        "metadata": {"channel": rng.choice(("web", "web", "app", "phone")), "campaign": None},
        "livemode": True,
        "refunded": False,
    }


def user(rng: random.Random, clock: Clock) -> Json:
    """An account as a directory lists it."""
    name = person(rng)
    clock.tick(4_000)
    return {
        "id": rng.randint(10_000, 99_999),
        "login": name.lower().replace(" ", ""),
        "display_name": name,
        "email": f"{name.split(' ')[0].lower()}@{rng.choice(COMPANIES).lower()}.example",
        "company": rng.choice(COMPANIES),
        "role": rng.choices(("member", "admin", "viewer"), (80, 5, 15))[0],
        "active": rng.random() < 0.94,
        "mfa": rng.random() < 0.8,
        "groups": rng.sample(("engineering", "support", "finance", "ops", "sales", "everyone"), rng.randint(1, 3)),
        "last_login_ip": address(rng),
        "last_login_at": clock.iso(),
        "url": f"https://directory.internal/api/users/{hexadecimal(rng, 8)}",
        "avatar_url": f"https://avatars.internal/u/{rng.randint(1000, 99999)}?v=4",
    }


def job(rng: random.Random, clock: Clock) -> Json:
    """A job of a queue."""
    words = Words(rng)
    clock.tick(50)
    took = rng.randint(80, 4_000)
    return {
        "job_id": uuid(rng),
        "queue": words["package"],
        "type": fill("$verb_$thing", words),
        "state": "succeeded",
        "priority": rng.choice((0, 0, 0, 5, 10)),
        "attempt": 1,
        "max_attempts": 5,
        "enqueued_at": clock.iso(),
        "duration_ms": took,
        "worker": f"worker-{rng.randint(1, 12)}",
        "error": None,
        "payload": {
            fill("$thing_id", words): hexadecimal(rng, 12),
            words["field"]: rng.randint(1, 9_000),
            "tenant": rng.choice(COMPANIES).lower(),
        },
        "result": {"rows": rng.randint(0, 900), "warnings": []},
    }


def issue(rng: random.Random, clock: Clock) -> Json:
    """An issue as a forge lists it, with the many addresses that nobody asks for."""
    words = Words(rng)
    number = rng.randint(100, 4_000)
    clock.tick(9_000)
    api = f"https://api.forge.example/repos/{rng.choice(COMPANIES).lower()}/{words['package']}/issues/{number}"
    login = person(rng).split(" ")[0].lower() + str(rng.randint(1, 99))
    return {
        "url": api,
        "labels_url": f"{api}/labels{{/name}}",
        "comments_url": f"{api}/comments",
        "events_url": f"{api}/events",
        "html_url": api.replace("api.", "").replace("/repos", ""),
        "id": rng.randint(10**8, 10**9),
        "node_id": f"I_kwDO{hexadecimal(rng, 12)}",
        "number": number,
        "title": fill(
            rng.choice(
                (
                    "$Verb of $adj $things is slow",
                    "$Thing $phrase after $verb",
                    "Support $field in $package",
                    "Crash in $part when $thing is $adj",
                    "$Field of $thing is wrong in the export",
                )
            ),
            words,
        ),
        "user": {"login": login, "id": rng.randint(1000, 99_999_999), "type": "User", "site_admin": False},
        "labels": [
            {"id": rng.randint(1000, 9999), "name": name, "color": hexadecimal(rng, 6), "default": False}
            for name in rng.sample(
                ("bug", "performance", "docs", "good first issue", "needs triage", "regression"), rng.randint(0, 2)
            )
        ],
        "state": rng.choices(("open", "closed"), (7, 3))[0],
        "locked": False,
        "assignee": None,
        "milestone": None,
        "comments": rng.choice((0, 0, 1, 2, 3, 7, 14)),
        "created_at": clock.iso(),
        "updated_at": clock.iso(),
        "closed_at": None,
        "author_association": rng.choice(("NONE", "CONTRIBUTOR", "MEMBER")),
        "reactions": {
            "total_count": 0,
            "+1": 0,
            "-1": 0,
            "laugh": 0,
            "hooray": 0,
            "confused": 0,
            "heart": 0,
            "rocket": 0,
            "eyes": 0,
        },
        "performed_via_github_app": None,
    }
