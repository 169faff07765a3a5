"""Queries are remembered, asked once for all who want them, and errors are not kept."""

import asyncio
from collections.abc import AsyncIterator

import numpy as np
import pytest
from tests.embed.providers import KEY, OpenAI, says, serving

from cca.embed.embedder import Embedder
from cca.embed.endpoint import endpoint
from cca.embed.remembered import Remembered
from cca.embed.wires import OpenAI as OpenAIWire
from cca.errors import Busy, Misconfigured


@pytest.fixture
async def provider() -> AsyncIterator[OpenAI]:
    one = OpenAI()
    async with serving(one):
        yield one


@pytest.fixture
async def embedder(provider: OpenAI) -> AsyncIterator[Remembered]:
    one = Remembered(endpoint(OpenAIWire(), f"{provider.url}/v1/embeddings", KEY, "text-embedding-3-small", None), 3)
    yield one
    await one.close()


async def test_a_query_is_asked_once_and_a_document_each_time(embedder: Remembered, provider: OpenAI) -> None:
    first = await embedder.embed(["one"], "query")
    assert np.array_equal(first, await embedder.embed(["one"], "query")) and len(provider.asked) == 1
    mixed = await embedder.embed(["two", "one", "two"], "query")
    assert provider.asked[1]["input"] == ["two"] and np.array_equal(mixed[1], first[0])
    assert np.array_equal(mixed[0], mixed[2])
    for _ in range(2):
        await embedder.embed(["one"], "document")
    assert len(provider.asked) == 4 and (embedder.asked, embedder.known) == (2, 3)


async def test_the_same_query_from_several_sides_is_asked_once(embedder: Remembered, provider: OpenAI) -> None:
    rows = await asyncio.gather(*(embedder.embed(["one"], "query") for _ in range(50)))
    assert len(provider.asked) == 1 and all(np.array_equal(row, rows[0]) for row in rows)


async def test_who_goes_away_does_not_take_it_from_the_others(embedder: Remembered, provider: OpenAI) -> None:
    provider.next += [0.1]
    first, *others = [asyncio.create_task(embedder.embed(["one"], "query")) for _ in range(5)]
    while not provider.asked:
        await asyncio.sleep(0.001)
    first.cancel()
    rows = await asyncio.gather(*others)
    assert first.cancelled() and len(provider.asked) == 1 and rows[0].shape == (1, 1_536)


async def test_when_all_have_gone_it_is_given_up_and_the_next_asks_anew(embedder: Remembered, provider: OpenAI) -> None:
    provider.next += [600.0]
    asking = [asyncio.create_task(embedder.embed(["one"], "query")) for _ in range(3)]
    while not provider.asked:
        await asyncio.sleep(0.001)
    for task in asking:
        task.cancel()
    new = asyncio.create_task(embedder.embed(["one"], "query"))  # before they have noticed
    await asyncio.gather(*asking, return_exceptions=True)
    again = await embedder.embed(["one"], "query")
    assert np.array_equal(await new, again)
    assert provider.asked[0]["input"] == provider.asked[-1]["input"] == ["one"]


async def test_an_error_reaches_all_who_wait_and_is_not_kept(embedder: Remembered, provider: OpenAI) -> None:
    provider.next += [says(404, {"error": {"message": "no"}})]
    told = await asyncio.gather(*(embedder.embed(["one"], "query") for _ in range(3)), return_exceptions=True)
    assert all(isinstance(each, Misconfigured) for each in told) and len(provider.asked) == 1
    assert (await embedder.embed(["one"], "query")).shape == (1, 1_536)


async def test_the_queries_that_were_used_last_are_kept(embedder: Remembered, provider: OpenAI) -> None:
    for text in ("one", "two", "three", "one", "four"):
        await embedder.embed([text], "query")
    provider.asked.clear()
    await embedder.embed(["one", "three", "four"], "query")
    assert provider.asked == []
    await embedder.embed(["two"], "query")
    assert len(provider.asked) == 1


async def test_it_is_whom_it_remembers_for(embedder: Remembered) -> None:
    one: Embedder = embedder
    await one.embed(["one"], "query")
    assert (one.id, one.revision, one.dimension) == ("openai:text-embedding-3-small", "1", 1_536)
    assert one.max_tokens == 8_191
    await one.close()
    with pytest.raises(Busy, match="about to stop"):
        await one.embed(["new"], "query")
