"""Endpoints that misbehave: busy, gone, slow, talking nonsense; wrong keys and models; texts that they refuse."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from email.utils import formatdate
from typing import Any

import numpy as np
import pytest
from aiohttp.test_utils import unused_port
from tests.embed.providers import KEY, Ollama, OpenAI, Provider, Voyage, says, serving

from cca.embed import caller, endpoint
from cca.embed.caller import Caller
from cca.embed.choice import address
from cca.embed.embedder import BLANK, Kind
from cca.embed.endpoint import Endpoint
from cca.embed.wires import Ollama as OllamaWire
from cca.embed.wires import OpenAI as OpenAIWire
from cca.embed.wires import Voyage as VoyageWire
from cca.embed.wires import Wire
from cca.errors import Busy, Misconfigured

WIRES: dict[type[Provider], Callable[[], Wire]] = {OpenAI: OpenAIWire, Voyage: VoyageWire, Ollama: OllamaWire}


def asking(
    provider: Provider, *, key: str | None = KEY, model: str | None = None, dimension: int | None = None
) -> Endpoint:
    wire = WIRES[type(provider)]()
    url = address(wire, provider.url)
    return endpoint.endpoint(wire, url, key, model or wire.model, dimension, first_s=0.001)


Making = Callable[..., Awaitable[tuple[Any, Endpoint]]]


@pytest.fixture
async def making() -> Any:
    """Servers and who asks them; closed when the test is over."""
    async with AsyncExitStack() as stack:

        async def make(provider: Provider, **how: Any) -> tuple[Any, Endpoint]:
            await stack.enter_async_context(serving(provider))
            found = asking(provider, **how)
            stack.push_async_callback(found.close)
            return provider, found

        yield make


# --------------------------------------------------------------------------------------- passing faults


@pytest.mark.parametrize("status", [408, 409, 425, 429, 500, 502, 503, 504])
async def test_a_passing_fault_is_asked_again(making: Making, status: int) -> None:
    provider, embedder = await making(OpenAI())
    provider.next += [says(status), says(status, b"<html>bad gateway</html>")]
    assert (await embedder.embed(["hello"], "query")).shape == (1, 1_536)
    assert len(provider.asked) == 3


@pytest.mark.parametrize(
    "headers",
    [{"Retry-After": "0"}, {"Retry-After-Ms": "20"}, {"Retry-After": formatdate(time.time() - 5, usegmt=True)}],
)
async def test_it_is_asked_again_when_it_wants_to_be(making: Making, headers: dict[str, str]) -> None:
    provider, embedder = await making(Voyage())
    provider.next += [says(429, {"detail": "slow down"}, headers)]
    assert (await embedder.embed(["hello"], "document")).shape == (1, 1_024)


async def test_who_asks_for_more_patience_than_there_is_is_left_alone_by_all(making: Making) -> None:
    provider, embedder = await making(OpenAI())
    provider.next += [says(429, {"error": {"message": "Rate limit reached"}}, {"Retry-After": "300"})]
    with pytest.raises(Busy, match="Rate limit reached"):
        await embedder.embed(["hello"], "query")
    kinds: tuple[Kind, ...] = ("query", "document")
    for kind in kinds:
        with pytest.raises(Busy, match="left alone for another"):
            await embedder.embed(["hello"], kind)
    assert len(provider.asked) == 1


async def test_an_endpoint_that_is_not_there_is_busy_and_soon_not_even_asked() -> None:
    provider = OpenAI()
    provider.url = f"http://127.0.0.1:{unused_port()}"
    embedder = asking(provider)
    with pytest.raises(Busy, match=r"the embedder openai at 127.0.0.1:\d+ cannot be reached"):
        await embedder.embed(["hello"], "query")
    with pytest.raises(Busy, match=r"cannot be reached.*; it is asked again in \d"):
        await embedder.embed(["hello"], "query")
    await embedder.close()


async def test_an_endpoint_that_comes_back_is_used_again() -> None:
    provider = Ollama()
    port = unused_port()
    provider.url = f"http://127.0.0.1:{port}"
    embedder = asking(provider)
    with pytest.raises(Busy):
        await embedder.embed(["hello"], "query")
    async with serving(provider, port), asyncio.timeout(30):
        while True:
            try:
                assert (await embedder.embed(["hello"], "query")).shape == (1, 768)
                break
            except Busy:
                await asyncio.sleep(0.05)
        await embedder.close()


async def test_who_goes_away_while_it_is_tried_again_does_not_keep_it_closed() -> None:
    provider = OpenAI()
    port = unused_port()
    provider.url = f"http://127.0.0.1:{port}"
    embedder = asking(provider)
    with pytest.raises(Busy):
        await embedder.embed(["hello"], "query")
    provider.next += [600.0]

    async def persistently() -> None:
        while True:
            try:
                await embedder.embed(["hello"], "query")
                return
            except Busy:
                await asyncio.sleep(0.02)

    async with serving(provider, port), asyncio.timeout(30):
        first = asyncio.create_task(persistently())
        while not provider.asked:
            await asyncio.sleep(0.01)
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        await persistently()
        assert len(provider.asked) == 2
        await embedder.close()


async def test_an_endpoint_that_does_not_answer_in_time_is_busy(
    making: Making, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(endpoint, "QUERY_S", 0.3)
    monkeypatch.setattr(endpoint, "QUERY_EACH_S", 0.05)
    provider, embedder = await making(OpenAI())
    provider.next += [2.0, 2.0, 2.0, 2.0]
    with pytest.raises(Busy, match="does not answer within"):
        await embedder.embed(["hello"], "query")


@pytest.mark.parametrize(
    "nonsense",
    [
        b"",
        b"<html>welcome to the hotel's wireless network</html>",
        b"{}",
        b'{"data": []}',
        b'{"data": [{"index": 0, "embedding": []}]}',
        b'{"data": [{"index": 1, "embedding": [1, 2]}]}',
        b'{"data": [{"index": 0, "embedding": "%%%"}]}',
        b'{"data": [{"index": 0, "embedding": "QUJD"}]}',
        b'{"data": [{"index": 0, "embedding": [1, "x"]}]}',
        b'{"embeddings": [[1.0]]}',
    ],
)
async def test_an_answer_that_makes_no_sense_is_a_passing_fault(making: Making, nonsense: bytes) -> None:
    provider, embedder = await making(OpenAI())
    provider.next += [says(200, nonsense)]
    assert (await embedder.embed(["hello"], "query")).shape == (1, 1_536)
    provider.next += [says(200, nonsense) for _ in range(20)]
    with pytest.raises(Busy, match="makes no sense"):
        await embedder.embed(["hello"], "query")


async def test_an_endless_answer_is_not_read_to_its_end(making: Making, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(caller, "LARGEST", 100_000)
    provider, embedder = await making(Ollama())
    provider.next += [says(200, b" " * 200_000) for _ in range(20)]
    with pytest.raises(Busy, match="longer than 100,000 bytes"):
        await embedder.embed(["hello"], "query")


async def test_after_it_was_closed_nobody_is_asked(making: Making) -> None:
    provider, embedder = await making(OpenAI())
    await embedder.close()
    with pytest.raises(Busy, match="about to stop"):
        await embedder.embed(["hello"], "query")
    assert provider.asked == []


# ------------------------------------------------------------------------------------- wrong settings


@pytest.mark.parametrize("provider", [OpenAI(), Voyage()])
async def test_a_wrong_key_is_said_at_once_and_never_shown(
    making: Making, provider: Provider, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    wrong = "sk-wrong-987654321"
    provider.asked.clear()
    _, embedder = await making(provider, key=wrong)
    with pytest.raises(Misconfigured, match=r"context\.embedder_key.*does not accept it \(401\)") as raised:
        await embedder.embed(["hello"], "query")
    assert len(provider.asked) == 1
    assert wrong not in str(raised.value) and wrong not in repr(raised.value.__cause__) and wrong not in caplog.text


async def test_a_key_that_is_echoed_is_not_shown(making: Making, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    provider, embedder = await making(OpenAI())
    for status in (400, 404, 500, 429):
        provider.next += [says(status, {"error": {"message": f"you sent {KEY}"}}, {"Retry-After": "600"})] * 1
        try:
            await embedder.embed(["hello"], "query")
        except (Busy, Misconfigured) as error:
            assert KEY not in str(error)
    assert KEY not in caplog.text


async def test_a_key_that_is_missing_is_asked_for(making: Making) -> None:
    _, embedder = await making(OpenAI(), key=None)
    with pytest.raises(Misconfigured, match=r"context\.embedder_key.*asks for one, and none is set"):
        await embedder.embed(["hello"], "document")


async def test_the_key_is_not_taken_to_where_an_answer_points(making: Making) -> None:
    thief, _ = await making(OpenAI())
    provider, embedder = await making(OpenAI())
    provider.next += [says(307, None, {"Location": thief.url + "/v1/embeddings"})]
    with pytest.raises(Misconfigured, match=r"context\.embedder_url.*answers 307"):
        await embedder.embed(["hello"], "query")
    assert thief.asked == []


@pytest.mark.parametrize("provider", [OpenAI(), Ollama(), Voyage()])
async def test_an_unknown_model_is_said_with_what_the_provider_says(making: Making, provider: Provider) -> None:
    _, embedder = await making(provider, model="no-such-model")
    with pytest.raises(Misconfigured, match=r"context\.embedder_model.*(no-such-model).*(not|does)"):
        await embedder.embed(["hello"], "query")


async def test_a_dimension_that_the_model_does_not_have_is_said(making: Making) -> None:
    _, embedder = await making(Voyage(), dimension=300)
    with pytest.raises(Misconfigured, match=r"context\.embedder_dimension.*output_dimension is not supported"):
        await embedder.embed(["hello", "there"], "document")


async def test_vectors_of_another_length_than_was_asked_for_are_not_taken(making: Making) -> None:
    provider, embedder = await making(OpenAI(), dimension=256)
    assert (await embedder.embed(["hello"], "query")).shape == (1, 256) and embedder.revision == "1-256"
    provider.changes = lambda rows: [row[:100] for row in rows]
    with pytest.raises(Misconfigured, match="100 numbers in a vector where 256 were expected"):
        await embedder.embed(["hello"], "query")


async def test_the_dimension_is_learned_from_the_first_answer(making: Making) -> None:
    provider, embedder = await making(OpenAI(dimension=48), model="text-embedding-3-small")
    assert embedder.dimension == 0
    assert (await embedder.embed(["hello"], "query")).shape == (1, 48)
    assert embedder.dimension == 48
    provider.dimension = 64
    with pytest.raises(Misconfigured, match="64 numbers"):
        await embedder.embed(["hello"], "query")


# ------------------------------------------------------------------------------- texts that are refused


@pytest.mark.parametrize(
    "refusal",
    [
        says(400, {"error": "the input length exceeds the context length"}),
        says(500, {"error": "failed to encode response: json: unsupported value: NaN"}),
        says(413, b"too large"),
        says(422, {"error": {"message": "`inputs` must have less than 512 tokens"}}),
    ],
)
async def test_one_text_that_is_refused_does_not_take_the_others_with_it(
    making: Making, refusal: Any, caplog: pytest.LogCaptureFixture
) -> None:
    provider, embedder = await making(Ollama())
    provider.poison = ("poison", refusal)
    texts = [f"text {number} is long enough to be cut in half" for number in range(40)]
    texts[17] = "poison from the first word on"
    texts[23] += " and more of it, and more of it, with poison at the end"
    rows = await embedder.embed(texts, "document")
    provider.poison = None
    for number, text in enumerate(texts):
        wanted = BLANK if number == 17 else text[: len(text) // 2] if number == 23 else text
        assert np.allclose(rows[number], (await embedder.embed([wanted], "document"))[0], atol=1e-5), number
    assert "a text of 29 characters is not embedded" in caplog.text and "poison from" not in caplog.text


@pytest.mark.parametrize("value", [0.0, float("inf")])
async def test_a_vector_that_is_none_harms_its_text_alone(making: Making, value: float) -> None:
    provider, embedder = await making(OpenAI())
    bad = (await embedder.embed(["odd"], "document"))[0]

    def change(rows: list[list[float]]) -> list[list[float]]:
        def odd(row: list[float]) -> bool:
            return bool(np.allclose(np.array(row) / np.linalg.norm(row), bad, atol=1e-5))

        return [[value] * len(row) if odd(row) else row for row in rows]

    provider.changes = change
    rows = await embedder.embed(["one", "odd", "two"], "document")
    assert np.allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-5)
    provider.changes = lambda rows: rows
    again = await embedder.embed(["one", BLANK, "two"], "document")
    assert np.allclose(rows, again, atol=1e-5)


async def test_who_refuses_everything_is_asked_twice_and_no_more(making: Making) -> None:
    provider, embedder = await making(OpenAI())
    provider.poison = ("", says(400, {"error": {"message": "This feature is not for you."}}))
    with pytest.raises(Misconfigured, match="embeds nothing; it answers 400: This feature is not for you"):
        await embedder.embed([f"text {number}" for number in range(60)], "document")
    assert len(provider.asked) == 2


# --------------------------------------------------------------------------------------------- requests


async def test_texts_go_in_groups_and_a_few_groups_at_once(making: Making) -> None:
    provider, embedder = await making(OpenAI())
    await embedder.embed([f"text {number}" for number in range(1_000)], "document")
    sizes = [len(asked["input"]) for asked in provider.asked]
    assert sum(sizes) == 1_000 and max(sizes) == 64 and provider.most == 4
    provider, embedder = await making(Ollama())
    await embedder.embed([f"text {number}" for number in range(50)], "document")
    assert max(len(asked["input"]) for asked in provider.asked) == 16 and provider.most == 1


async def test_the_same_text_is_sent_once(making: Making) -> None:
    provider, embedder = await making(Voyage())
    rows = await embedder.embed(["same", "other", "same"] * 20, "document")
    assert provider.texts == ["same", "other"]
    assert np.array_equal(rows[0], rows[2]) and not np.array_equal(rows[0], rows[1])


async def test_long_texts_are_cut_before_they_are_sent(making: Making) -> None:
    provider, embedder = await making(Ollama())
    await embedder.embed(["word " * 20_000], "document")
    assert len(provider.asked) == 1 and 5_000 < len(provider.texts[0]) < 12_000


async def test_models_are_asked_as_they_want_to_be(making: Making) -> None:
    provider, embedder = await making(Ollama())
    await embedder.embed(["hello"], "query")
    await embedder.embed(["hello"], "document")
    assert provider.texts == ["search_query: hello", "search_document: hello"]
    assert "Authorization" in provider.headers[0] and provider.asked[0]["truncate"] is False
    provider, embedder = await making(Voyage(), dimension=512)
    await embedder.embed(["hello"], "query")
    await embedder.embed(["hello"], "document")
    assert [asked["input_type"] for asked in provider.asked] == ["query", "document"]
    assert {asked["output_dimension"] for asked in provider.asked} == {512}


async def test_who_knows_no_base64_is_asked_for_numbers_from_then_on(making: Making) -> None:
    provider, embedder = await making(OpenAI(base64=False))
    for _ in range(2):
        await embedder.embed(["hello"], "query")
    assert [asked["encoding_format"] for asked in provider.asked] == ["base64", "float", "float"]


async def test_a_caller_shows_no_key() -> None:
    one = Caller("the embedder", "http://127.0.0.1:1/", KEY)
    assert KEY not in repr(one)
    await one.close()
