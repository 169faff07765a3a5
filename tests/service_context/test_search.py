"""Searches on a real PostgreSQL: by meaning, by words, and by both, limited exactly, each hit with its reasons."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from typing import Literal

import numpy as np
import pytest
from numpy.typing import NDArray
from pytest import approx

from cca.config import PostgresSettings
from cca.errors import Busy
from cca.postgres.halfvec import packed
from cca.postgres.migrate import migrate
from cca.postgres.pool import Connection
from cca.postgres.tables import Tables, connect
from cca.search.fusion import WEIGHT
from cca.search.lexemes import tsvector
from cca.search.terms import terms
from cca.testing.servers import PostgresServer
from cca_context import dense, frequencies, lexical
from cca_context.corpus import MEMORY
from cca_context.search import Searcher
from cca_context.vectors import Vectors
from cca_context.where import Where

DIMENSION = 64
START = datetime(2026, 3, 1, tzinfo=UTC)
SAME = {"ram": "memory", "oom": "memory", "slow": "latency", "lame": "latency"}
"""Words that mean the same, to the embedder of these tests."""

TEXTS = {
    "oom": "worker killed by oom while loading the dataset",
    "retry": "on HTTP 429 use exponential backoff, see RetryPolicy.max_attempts",
    "slow": "rendering had high latency because of templates",
    "lock": "deadlock between two threads, acquire locks in order",
    "retry2": "retries of the payment handler must be idempotent",
}


class Meaning:
    """Vectors of words; those of the same meaning are the same. Can be told to fail, or to wait."""

    id, revision, dimension, max_tokens = "meaning", "1", DIMENSION, 1_000

    def __init__(self) -> None:
        self.asked = 0
        self.fails = self.waits = False

    async def embed(self, texts: Sequence[str], kind: Literal["query", "document"]) -> NDArray[np.float32]:
        self.asked += 1
        if self.waits:
            await asyncio.Event().wait()
        if self.fails:
            raise Busy("the endpoint is away")
        return np.stack([meaning(text) for text in texts])

    async def close(self) -> None:
        pass


def meaning(text: str) -> NDArray[np.float32]:
    total = np.full(DIMENSION, 1e-3, np.float32)
    for word in terms(text):
        seed = int.from_bytes(blake2b(SAME.get(word, word).encode(), digest_size=4).digest())
        total += np.random.default_rng(seed).standard_normal(DIMENSION).astype(np.float32)
    unit: NDArray[np.float32] = total / np.linalg.norm(total)
    return unit


class Store:
    """Memories with their words and vectors, and a searcher."""

    def __init__(self, tables: Tables, embedder: Meaning | None) -> None:
        self.tables, self.embedder = tables, embedder
        self.vectors = Vectors(tables, embedder, MEMORY)
        self.searcher = Searcher(tables, MEMORY, self.vectors)
        self.added = 0

    async def add(self, texts: dict[str, str], *, vectors: bool = True, words: bool = True, **columns: object) -> None:
        given = {"scope": "project:default", "role": None, "kind": "fact"} | columns
        async with self.tables.connection() as connection:
            for memory, text in texts.items():
                self.added += 1
                at = START + timedelta(hours=self.added)
                row = (memory, self.added, given["scope"], given["role"], given["kind"], at)
                if words:
                    found = terms(text)
                    await connection.execute(
                        "INSERT INTO cca.memory_terms VALUES ($1, $2, $3, $4, $5, $6, $7, $8::tsvector)",
                        *row,
                        len(found),
                        tsvector(found),
                    )
                if vectors:
                    await connection.execute(
                        "INSERT INTO cca.memory_vectors_1 VALUES ($1, $2, $3, $4, $5, $6, $7)",
                        *row,
                        packed(meaning(text)),
                    )

    async def keys(
        self, query: str, mode: Literal["hybrid", "dense", "lexical"] = "hybrid", limit: int = 10, **where: object
    ) -> list[str]:
        found = await self.searcher.search(query, Where(**where), limit, mode)  # type: ignore[arg-type] # by name
        return [one.key for one in found.items]


async def prepare(connection: Connection) -> None:
    """Make the tables, as the service and its embedding loop do."""
    await migrate(connection, "cca_context")
    await connection.execute(
        'CREATE TABLE IF NOT EXISTS cca.memory_vectors_1 (memory text COLLATE "C" PRIMARY KEY, version bigint,'
        " scope text, role text, kind text, created_at timestamptz, vec halfvec(64))"
    )
    await connection.execute(
        "INSERT INTO cca.embedders (corpus, id, revision, dimension, state)"
        " VALUES ('memory', 'meaning', '1', 64, 'active') ON CONFLICT DO NOTHING"
    )


@asynccontextmanager
async def opened(postgres: PostgresSettings, embedder: Meaning | None) -> AsyncIterator[Store]:
    async with connect(postgres, "test", prepare) as tables:
        store = Store(tables, embedder)
        async with asyncio.timeout(30):
            while True:
                try:
                    await store.vectors.refresh()
                    break
                except Busy:
                    await asyncio.sleep(0.01)
        yield store
        await store.searcher.close()


@pytest.fixture
async def store(postgres: PostgresSettings) -> AsyncIterator[Store]:
    async with opened(postgres, Meaning()) as one:
        yield one


async def test_the_same_meaning_is_found_in_other_words(store: Store) -> None:
    await store.add(TEXTS)
    assert (await store.keys("ram", "dense"))[0] == "oom"
    assert (await store.keys("ram"))[0] == "oom"
    assert await store.keys("ram", "lexical") == []


async def test_the_same_words_are_found_whatever_they_mean(store: Store) -> None:
    await store.add(TEXTS)
    assert await store.keys("max_attempts", "lexical") == ["retry"]
    assert (await store.keys("RetryPolicy", "lexical"))[0] == "retry"
    assert (await store.keys("retrying payments", "lexical"))[0] == "retry2"
    assert (await store.keys("deadlock"))[0] == "lock"


async def test_each_hit_says_where_its_score_comes_from(store: Store) -> None:
    await store.add(TEXTS)
    found = await store.searcher.search("ram deadlock threads", Where(), 10, "hybrid")
    assert (found.mode, found.embedder, found.note) == ("hybrid", "meaning", "")
    assert sorted(one.key for one in found.items) == sorted(TEXTS)
    by_key = {one.key: one for one in found.items}
    lock, oom = by_key["lock"], by_key["oom"]
    assert lock.why.terms == ("deadlock", "thread") or lock.why.terms == ("thread", "deadlock")
    assert (lock.why.lexical, lock.why.lexical_rank) == (1.0, 1)
    assert oom.why.lexical is None and oom.why.coverage == 0.0
    query = meaning("ram deadlock threads")
    for one in found.items:
        assert one.why.dense == approx(float(query @ meaning(TEXTS[one.key])), abs=2e-3)
        assert one.score == approx((one.why.dense or 0) + WEIGHT * (one.why.lexical or 0) * one.why.coverage)
    assert [one.why.dense_rank for one in found.items if one.why.dense_rank == 1]


async def test_bm25_in_the_table_is_bm25(store: Store) -> None:
    await store.add({"once": "alpha beta gamma", "often": "alpha alpha beta gamma delta", "none": "delta"})
    found = await store.searcher.search("alpha", Where(), 10, "lexical")
    assert [one.key for one in found.items] == ["often", "once"]
    mean, idf = 3.0, np.log(1 + 1.5 / 2.5)
    scores = {
        key: idf * count * 2.2 / (count + 1.2 * (0.25 + 0.75 * words / mean))
        for key, count, words in (("once", 1, 3), ("often", 2, 5))
    }
    assert found.items[1].why.lexical == approx(scores["once"] / scores["often"], abs=1e-5)
    assert [one.why.coverage for one in found.items] == [1.0, 1.0]


async def test_a_search_is_limited_exactly(store: Store) -> None:
    for number in range(30):
        await store.add(
            {f"m{number:02}": f"retry the request number{number}"},
            scope=f"project:{number % 3}",
            role=(None, "backend", "qa")[number // 10],
            kind=("fact", "lesson")[number % 2],
        )
    for mode in ("hybrid", "dense", "lexical"):
        every = set(await store.keys("retry request", mode, 200))
        assert len(every) == 30
        found = await store.keys("retry request", mode, 200, equal={"scope": "project:1"})
        assert sorted(found) == [f"m{number:02}" for number in range(1, 30, 3)]
        none = await store.keys("retry request", mode, 200, among={"role": (None,)})
        assert sorted(none) == [f"m{number:02}" for number in range(10)]
        some = await store.keys("retry request", mode, 200, among={"role": ("qa", None), "kind": ("lesson",)})
        assert sorted(some) == [f"m{number:02}" for number in range(30) if number % 2 and number // 10 != 1]
        late = await store.keys(
            "retry request", mode, 200, since=START + timedelta(hours=6), until=START + timedelta(hours=8)
        )
        assert sorted(late) == ["m05", "m06"]
        assert await store.keys("retry request", mode, 3, among={"role": ()}) == []
        assert len(await store.keys("retry request", mode, 3)) == 3
    with pytest.raises(ValueError, match="path"):
        await store.keys("retry", equal={"path": "x"})


async def test_what_has_no_vector_or_no_words_yet_is_found_by_the_other(store: Store) -> None:
    await store.add({"words": "deadlock of threads"}, vectors=False)
    await store.add({"vector": "threads in a deadlock"}, words=False)
    found = await store.searcher.search("deadlock threads", Where(), 10, "hybrid")
    why = {one.key: one.why for one in found.items}
    assert why["words"].dense is None and why["words"].lexical == 1.0
    assert why["vector"].lexical is None and why["vector"].dense == approx(1.0, abs=1e-3)


async def test_a_question_of_common_words_or_none_at_all_finds_what_there_is(store: Store) -> None:
    await store.add(TEXTS)
    for nothing in ("the of and", "?!", "\0", "''; DROP TABLE x; --", "'", "\\", "\ud800", "& | ! ( <->"):
        assert len(await store.keys(nothing, "dense")) == len(TEXTS)
        assert await store.keys(nothing, "lexical") == []
        assert len(await store.keys(nothing)) == len(TEXTS)
    long = " ".join(f"word{number}" for number in range(1_500)) + " deadlock"
    assert len(await store.keys("deadlock " + long, "lexical")) == 1


async def test_an_empty_store_finds_nothing(store: Store) -> None:
    for mode in ("hybrid", "dense", "lexical"):
        assert await store.keys("anything", mode) == []


async def test_without_an_embedder_words_alone_are_compared_and_the_answer_says_so(
    postgres: PostgresSettings,
) -> None:
    async with opened(postgres, None) as store:
        await store.add(TEXTS, vectors=False)
        for mode in ("hybrid", "dense"):
            found = await store.searcher.search("deadlock", Where(), 10, mode)
            assert (found.mode, found.embedder) == ("lexical", None)
            assert "no embedder" in found.note
            assert [one.key for one in found.items] == ["lock"]


async def test_while_the_embedder_is_away_words_alone_are_compared(store: Store) -> None:
    await store.add(TEXTS)
    assert store.embedder is not None
    store.embedder.fails = True
    for _ in range(5):
        found = await store.searcher.search("deadlock", Where(), 10, "hybrid")
        assert (found.mode, [one.key for one in found.items]) == ("lexical", ["lock"])
        assert "meaning does not answer" in found.note
    assert store.embedder.asked == 2  # then it is left alone for a while
    dense_only = await store.searcher.search("deadlock", Where(), 10, "dense")
    assert dense_only.mode == "lexical"


async def test_a_search_that_is_given_up_asks_no_more(store: Store) -> None:
    await store.add(TEXTS)
    assert store.embedder is not None
    store.embedder.waits = True
    searching = asyncio.create_task(store.searcher.search("deadlock", Where(), 10, "hybrid"))
    while not store.embedder.asked:
        await asyncio.sleep(0.001)
    searching.cancel()
    with pytest.raises(asyncio.CancelledError):
        await searching
    store.embedder.waits = False
    assert (await store.keys("deadlock"))[0] == "lock"


async def test_many_documents_are_searched_with_bounded_work_and_the_same_result(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = {f"d{number:03}": f"common words here and rare{number // 3} topic{number % 7}" for number in range(120)}
    await store.add(texts)
    small = await store.searcher.search("common rare5 topic2", Where(), 5, "lexical")
    monkeypatch.setattr(frequencies, "FEW", 10)
    monkeypatch.setattr(frequencies, "COMMON", 20)
    monkeypatch.setattr(lexical, "BUDGET", 20)
    async with asyncio.timeout(30):
        while True:
            large = await store.searcher.search("common rare5 topic2", Where(), 5, "lexical")
            common = store.searcher._frequencies._common
            if common is not None:
                break
            await asyncio.sleep(0.01)
    assert common.documents == 120
    assert common.frequencies["common"] == 120
    large = await store.searcher.search("common rare5 topic2", Where(), 5, "lexical")
    assert small.items[0].key == large.items[0].key == "d016"
    assert {one.key for one in large.items[:3]} == {"d015", "d016", "d017"}
    assert large.items[0].why.coverage == approx(1.0)


async def test_the_index_gives_what_comparing_one_by_one_gives(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    await store.add({f"d{number:03}": f"word{number} word{number // 2}" for number in range(200)}, words=False)
    await store.add({"odd": "word50 of another scope"}, words=False, scope="project:odd")
    exact = await store.keys("word7 word3", "dense")
    async with store.tables.connection() as connection:
        await connection.execute("CREATE INDEX ON cca.memory_vectors_1 USING hnsw (vec halfvec_ip_ops)")
        await connection.execute("ANALYZE cca.memory_vectors_1")
    monkeypatch.setattr(dense, "NARROW", 5)
    monkeypatch.setattr(dense, "SETTINGS", dense.SETTINGS + "; SET LOCAL enable_seqscan = off")
    assert (await store.keys("word7 word3", "dense"))[:2] == exact[:2]
    assert await store.keys("word7", "dense", equal={"scope": "project:odd"}) == ["odd"]


@pytest.mark.covers("H7")
async def test_without_postgresql_a_search_fails_at_once_and_recovers(postgres_server: PostgresServer) -> None:
    async with opened(postgres_server.settings(), Meaning()) as store:
        await store.add(TEXTS)
        assert (await store.keys("deadlock"))[0] == "lock"
        postgres_server.kill()
        for _ in range(5):
            with pytest.raises(Busy):
                await store.keys("deadlock")
        assert store.tables.breaker.state == "open"
        postgres_server.start()
        async with asyncio.timeout(60):
            while True:
                try:
                    assert (await store.keys("deadlock"))[0] == "lock"
                    return
                except Busy:
                    await asyncio.sleep(0.05)
