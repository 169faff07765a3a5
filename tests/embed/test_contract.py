"""What holds for every embedder: MiniLM here, and endpoints that speak as their providers document it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import numpy as np
import pytest
import pytest_asyncio
from tests.embed.providers import KEY, Ollama, OpenAI, Provider, Voyage, serving

from cca.config import ContextSettings
from cca.embed.choice import make
from cca.embed.embedder import Embedder, Kind
from cca.embed.minilm import missing
from cca.pool.pool import Pool

pytestmark = pytest.mark.asyncio(loop_scope="module")  # one pool and its processes for all

ROOT = Path(__file__).parents[2]
KINDS: tuple[Kind, ...] = ("query", "document")
ENDPOINTS: dict[str, Callable[[], Provider]] = {
    "openai": OpenAI,
    "openai-in-numbers": lambda: OpenAI(base64=False),
    "ollama": Ollama,
    "ollama-of-late": lambda: Ollama(500),  # some versions blame themselves for long texts
    "voyage": Voyage,
}
FACTS = {
    "minilm": ("minilm-l6-v2-int8", "8199be6f-1", 384, 256),
    "openai": ("openai:text-embedding-3-small", "1", 1_536, 8_191),
    "ollama": ("ollama:nomic-embed-text", "1", 768, 2_048),
    "voyage": ("voyage:voyage-code-3", "1", 1_024, 32_000),
}

JSON = "parse a json document from a string in python"
NEAR = "python: how a json string is made into a document when it is parsed"
FAR = "watering tomatoes on the balcony in summer"


@pytest_asyncio.fixture(loop_scope="module", scope="module", params=["minilm", *ENDPOINTS])
async def embedder(request: pytest.FixtureRequest) -> AsyncIterator[Embedder]:
    name: str = request.param
    if name == "minilm" and missing():
        pytest.skip(f"not installed: {missing()}")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(ROOT)
        pool = Pool("tests.embed.embed_work.do", workers=2)
        try:
            if name == "minilm":
                found = make(ContextSettings(), pool)
                assert found is not None
                yield found
                await found.close()
                return
            async with serving(ENDPOINTS[name]()) as provider:
                settings = {"embedder": name.partition("-")[0], "embedder_url": provider.url, "embedder_key": KEY}
                found = make(ContextSettings(**settings), pool)  # type: ignore[arg-type]  # the name is one of those
                assert found is not None
                yield found
                await found.close()
                await found.close()
        finally:
            await pool.close()


async def test_it_says_who_it_is(embedder: Embedder, request: pytest.FixtureRequest) -> None:
    await embedder.embed([JSON], "query")
    said = (embedder.id, embedder.revision, embedder.dimension, embedder.max_tokens)
    assert said == FACTS[embedder.id.partition(":")[0].partition("-")[0]]


@pytest.mark.parametrize("kind", KINDS)
async def test_vectors_are_rows_of_length_one_that_nobody_may_write_to(embedder: Embedder, kind: Kind) -> None:
    rows = await embedder.embed([JSON, NEAR, FAR], kind)
    assert rows.dtype == np.float32 and rows.shape == (3, embedder.dimension)
    assert np.allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-5)
    with pytest.raises(ValueError, match="read-only"):
        rows[0, 0] = 1


@pytest.mark.parametrize("kind", KINDS)
async def test_no_texts_have_no_vectors(embedder: Embedder, kind: Kind) -> None:
    rows = await embedder.embed([], kind)
    assert rows.shape == (0, embedder.dimension) and rows.dtype == np.float32


async def test_what_means_about_the_same_is_near(embedder: Embedder) -> None:
    (query,) = await embedder.embed([JSON], "query")
    near, far = await embedder.embed([NEAR, FAR], "document") @ query
    assert near > far + 0.1


@pytest.mark.parametrize("kind", KINDS)
async def test_each_text_has_its_vector_whatever_is_embedded_beside_it(embedder: Embedder, kind: Kind) -> None:
    texts = [f"document {number} about {'wide ' * (number % 7)}things" for number in range(150)]
    texts += [texts[3], JSON, texts[3]]
    together = await embedder.embed(texts, kind)
    assert together.shape == (153, embedder.dimension)
    assert np.array_equal(together[3], together[150]) and np.array_equal(together[3], together[152])
    for number in (0, 3, 77, 149, 151):
        alone = (await embedder.embed([texts[number]], kind))[0]
        assert np.allclose(alone, together[number], atol=1e-4), number


@pytest.mark.parametrize("kind", KINDS)
async def test_every_text_gets_a_vector(embedder: Embedder, kind: Kind) -> None:
    strange = [
        "",
        "  \n\t ",
        "\0",
        "a\0b",
        "\ud800 lone",
        "\ud83d\ude00",
        "😀" * 3_000,
        "中文" * 10_000,
        "word " * 60_000,
        "aGVsbG8gd29ybGQ+/" * 3_000,  # no blank in 51,000 characters
        "=" * 5_000,
        "\u200b\u202e\ufeff",
        "é" * 300,
        " " * 30_000 + "at the end",
        "\x01\x02\x7f",
    ]
    rows = await embedder.embed([*strange, JSON], kind)
    assert rows.shape == (len(strange) + 1, embedder.dimension)
    assert np.allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-5)
    assert np.allclose(rows[-1], (await embedder.embed([JSON], kind))[0], atol=1e-4)
    assert np.allclose(rows[0], rows[1], atol=1e-4)
    assert np.allclose(rows[13], (await embedder.embed(["at the end"], kind))[0], atol=1e-4)


async def test_of_a_long_text_the_beginning_counts(embedder: Embedder) -> None:
    long = "the same words again and again " * 8_000
    one, other = await embedder.embed([long, long + FAR], "document")
    assert np.allclose(one, other, atol=1e-5)


async def test_many_may_ask_at_once(embedder: Embedder) -> None:
    texts = [f"question {number} of {number % 5}" for number in range(40)]
    rows = await asyncio.gather(*(embedder.embed([text], "query") for text in texts))
    again = await embedder.embed(texts, "query")
    assert np.allclose(np.concatenate(rows), again, atol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
async def test_who_goes_away_harms_nobody(embedder: Embedder, kind: Kind) -> None:
    asking = asyncio.create_task(embedder.embed([f"{kind} {number} " * 50 for number in range(30)], kind))
    for _ in range(3):
        await asyncio.sleep(0)
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    assert asking.cancelled()
    assert (await embedder.embed([JSON], kind)).shape == (1, embedder.dimension)
