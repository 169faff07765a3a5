"""Shared context against a dictionary: many changes by two instances, and everything that is told of them agrees."""

import asyncio
import random
from typing import Any

import pytest
from tests.service_context.context_serving import PROJECT, asking, events, serving

from cca.config import NatsSettings
from cca.contracts.context import ContextDeleted, ContextSet
from cca.errors import Refused


@pytest.mark.parametrize("seed", range(3))
async def test_after_any_changes_all_ways_to_read_agree_with_a_dictionary(nats: NatsSettings, seed: int) -> None:
    dice = random.Random(seed)
    keys = ["a", "b", "a.b", "a.b.c", "a-b", "A", "b.a"]
    model: dict[str, tuple[int, Any]] = {}
    kept: list[tuple[str, dict[str, Any]]] = []
    async with serving(nats), serving(nats), asking(nats) as (asked, bus):
        watching = asked.watch(PROJECT)
        for _ in range(120):
            key = dice.choice(keys)
            match dice.randrange(6):
                case 0 | 1 | 2:
                    value = dice.choice([1, "x", None, {"a": [1]}, "y" * 3_000])
                    expect = dice.choice([None, model[key][0] if key in model else 0])
                    model[key] = ((await asked.set(PROJECT, key, value, expect=expect)).revision, value)
                case 3:
                    wrong = 10**9 if key not in model else dice.choice([0, 10**9])
                    with pytest.raises(Refused):
                        await asked.set(PROJECT, key, "z" + str(dice.random()), expect=wrong)
                case 4:
                    await asked.delete(PROJECT, key)
                    model.pop(key, None)
                case 5 if kept and dice.random() < 0.4:
                    snapshot, there = dice.choice(kept)
                    await asked.restore(PROJECT, snapshot, exact=True)
                    now = {entry.key: entry.revision for entry in await asked.list(PROJECT)}
                    model = {key: (now[key], value) for key, value in there.items()}
                case _:
                    there = {key: value for key, (_, value) in model.items()}
                    kept.append(((await asked.snapshot(PROJECT)).snapshot, there))
            listed = await asked.list(PROJECT, values=True)
            assert {entry.key: (entry.revision, entry.value) for entry in listed} == model
            assert [entry.key for entry in listed] == sorted(model)
        for key in keys:
            if key in model:
                got = await asked.get(PROJECT, key)
                assert (got.revision, got.value) == model[key]
            else:
                assert await asked.value(PROJECT, key, "gone") == "gone"
        seen: dict[str, tuple[int, Any]] = {}
        last = await asked.set("project:shop", "end", True)
        async with asyncio.timeout(20):
            async for entry in watching:
                if entry.revision == last.revision:
                    break
                seen.pop(entry.key, None)
                if entry.there:
                    seen[entry.key] = (entry.revision, entry.value)
        await watching.aclose()
        assert seen == model
        folded: dict[str, Any] = {}
        for event in await events(bus):
            if isinstance(event, ContextSet):
                folded[event.key] = event.value
            elif isinstance(event, ContextDeleted):
                del folded[event.key]
        assert folded == {key: value for key, (_, value) in model.items()} | {"end": True}
