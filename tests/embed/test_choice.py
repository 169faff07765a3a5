"""Which embedder the settings mean, and what is wrong with them."""

import logging
import subprocess
import sys
from collections.abc import AsyncIterator, Callable

import pytest
from msgspec.structs import replace

from cca.config import ContextSettings
from cca.embed import choice
from cca.embed.choice import address, former, make
from cca.embed.minilm import ID, REVISION, missing
from cca.embed.wires import Ollama, OpenAI, Voyage, Wire
from cca.errors import Misconfigured
from cca.pool.pool import Pool


@pytest.fixture
async def pool() -> AsyncIterator[Pool]:
    one = Pool("tests.embed.embed_work.do")
    yield one
    assert one.pids == []  # nothing was started to find out
    await one.close()


def test_by_default_it_is_the_one_of_this_machine(pool: Pool) -> None:
    if missing():
        pytest.skip(f"not installed: {missing()}")
    found = make(ContextSettings(), pool)
    assert found is not None and (found.id, found.dimension) == ("minilm-l6-v2-int8", 384)


def test_none_is_none(pool: Pool) -> None:
    assert make(ContextSettings(embedder="none"), pool) is None


def test_without_the_extra_there_is_none_and_that_is_said(
    pool: Pool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(choice, "missing", lambda: ["onnxruntime"])
    with caplog.at_level(logging.WARNING):
        assert make(ContextSettings(), pool) is None
    assert "onnxruntime" in caplog.text and "cca[embeddings]" in caplog.text


def test_what_asks_loads_no_network() -> None:
    code = "import sys, cca.embed.choice, cca.embed.jobs; print({'onnxruntime', 'tokenizers'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


@pytest.mark.parametrize(
    ("settings", "id", "revision", "dimension"),
    [
        (ContextSettings(embedder="openai", embedder_key="k"), "openai:text-embedding-3-small", "1", 1_536),
        (ContextSettings(embedder="openai", embedder_key="k", embedder_dimension=256), "…", "1-256", 256),
        (ContextSettings(embedder="openai", embedder_url="http://here", embedder_model="my"), "openai:my", "1", 0),
        (ContextSettings(embedder="ollama", embedder_url="http://here"), "ollama:nomic-embed-text", "1", 0),
        (ContextSettings(embedder="ollama"), "ollama:nomic-embed-text", "1", 768),
        (ContextSettings(embedder="ollama", embedder_model="bge-m3:567m"), "ollama:bge-m3:567m", "1", 1_024),
        (ContextSettings(embedder="voyage", embedder_key="k"), "voyage:voyage-code-3", "1", 1_024),
    ],
)
def test_endpoints_are_named_after_their_model(
    pool: Pool, settings: ContextSettings, id: str, revision: str, dimension: int
) -> None:
    found = make(settings, pool)
    assert found is not None
    assert id in ("…", found.id)
    assert (found.revision, found.dimension) == (revision, dimension)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (ContextSettings(embedder="openai"), "embedder_key must be set"),
        (ContextSettings(embedder="voyage"), "embedder_key must be set"),
        (ContextSettings(embedder="openai", embedder_key="two\nlines"), "embedder_key must be printable"),
        (ContextSettings(embedder="openai", embedder_key="é"), "embedder_key must be printable"),
        (ContextSettings(embedder="openai", embedder_key=" k"), "embedder_key must be printable"),
        (ContextSettings(embedder="ollama", embedder_url="localhost:11434"), "embedder_url must be like"),
        (ContextSettings(embedder="ollama", embedder_url="http://"), "embedder_url must be like"),
        (ContextSettings(embedder="ollama", embedder_url="http://a:99999999"), "embedder_url must be like"),
        (ContextSettings(embedder="ollama", embedder_url="http://me:secret@here"), "embedder_url must be like"),
        (ContextSettings(embedder_model="bge-m3"), "embedder_model is set, but"),
        (ContextSettings(embedder_dimension=100), "embedder_dimension is set, but"),
        (ContextSettings(embedder_url="http://here"), "embedder_url is set, but"),
    ],
)
def test_settings_that_cannot_be_meant_are_named(pool: Pool, settings: ContextSettings, said: str) -> None:
    with pytest.raises(Misconfigured, match=f"context.{said}") as raised:
        make(settings, pool)
    assert "secret" not in str(raised.value) and "two" not in str(raised.value)


@pytest.mark.parametrize(
    ("wire", "url", "wanted"),
    [
        (OpenAI, None, "https://api.openai.com/v1/embeddings"),
        (OpenAI, "http://here:8000", "http://here:8000/v1/embeddings"),
        (OpenAI, "http://here:8000/", "http://here:8000/v1/embeddings"),
        (OpenAI, "http://here:8000/v1/", "http://here:8000/v1/embeddings"),
        (OpenAI, "http://here:8000/v1/embeddings", "http://here:8000/v1/embeddings"),
        (OpenAI, "https://a.b/openai/v3?api-version=2", "https://a.b/openai/v3/embeddings?api-version=2"),
        (Ollama, None, "http://127.0.0.1:11434/api/embed"),
        (Ollama, "http://[::1]:1", "http://[::1]:1/api/embed"),
        (Ollama, "http://here/api/embed", "http://here/api/embed"),
        (Voyage, None, "https://api.voyageai.com/v1/embeddings"),
    ],
)
def test_a_url_may_be_given_with_or_without_its_path(wire: Callable[[], Wire], url: str | None, wanted: str) -> None:
    assert address(wire(), url) == wanted


def test_an_embedder_that_was_set_before_is_found_again(pool: Pool) -> None:
    settings = ContextSettings(embedder="openai", embedder_key="k", embedder_dimension=256)
    find = former(settings, pool)
    now = make(settings, pool)
    assert now is not None
    for id, revision in [(now.id, now.revision), ("openai:text-embedding-3-large", "1"), ("openai:a:b", "1-7")]:
        found = find(id, revision)
        assert found is not None and (found.id, found.revision) == (id, revision)
    if not missing():
        found = find(ID, REVISION)
        assert found is not None and found.id == ID
    for id, revision in [
        (ID, "an older one"),
        ("voyage:voyage-code-3", "1"),
        ("openai:x", "0"),
        ("openai:x", "1-x"),
        ("openai:", "1"),
        ("", ""),
    ]:
        assert find(id, revision) is None
    assert former(replace(settings, embedder="none"), pool)("none:x", "1") is None
