"""Whether the gateway lives and is ready, and who is told what."""

import asyncio

import pytest
from tests.gateway.conftest import Api

from cca_gateway.cached import Cached


@pytest.mark.parametrize("base", ["", "/api/v1"])
async def test_anybody_may_ask_whether_it_lives(api: Api, base: str) -> None:
    answer = await api.anonymous("GET", f"{base}/livez")
    assert (answer.status, answer.json) == (200, {"status": "alive"})


@pytest.mark.covers("SEC-012")
async def test_details_are_for_those_with_a_key(full: Api) -> None:
    bare = await full.anonymous("GET", "/readyz")
    assert (bare.status, bare.json) == (200, {"status": "ready"})
    assert (await full.anonymous("GET", "/readyz", headers={"X-API-Key": "wrong"})).json == {"status": "ready"}
    answer = await full.get("/readyz")
    fine = {"ok": True}
    assert answer.json == {"status": "ready", "checks": {"nats": fine, "postgres": fine, "router": fine}}
    for headers in (bare.headers, answer.headers):
        assert headers["Server"] == "cca"


async def test_a_missing_component_is_named(api: Api) -> None:
    answer = await api.get("/readyz")
    assert answer.status == 503
    assert answer.json["status"] == "degraded"
    assert [name for name, check in answer.json["checks"].items() if not check["ok"]] == ["postgres"]
    bare = await api.anonymous("GET", "/readyz")
    assert (bare.status, bare.json) == (503, {"status": "degraded"})


@pytest.mark.covers("PERF-003")
async def test_a_thousand_questions_are_one_probe() -> None:
    probes = 0

    async def probe() -> int:
        nonlocal probes
        probes += 1
        await asyncio.sleep(0)
        return probes

    cached = Cached(lambda _: 60.0, probe)
    assert set(await asyncio.gather(*(cached.get() for _ in range(1_000)))) == {1}
    assert await cached.get() == 1


async def test_an_error_is_not_remembered() -> None:
    answers = iter(["x", "2"])

    async def load() -> int:
        return int(next(answers))

    cached = Cached(lambda _: 60.0, load)
    with pytest.raises(ValueError, match="invalid literal"):
        await cached.get()
    assert await cached.get() == 2


async def test_what_is_old_is_found_out_again() -> None:
    count = iter(range(10))

    async def load() -> int:
        return next(count)

    cached = Cached(lambda _: 0.0, load)
    assert [await cached.get() for _ in range(3)] == [0, 1, 2]
