"""What searches are told of vectors; their binary form; and the SQL of the tables that follow a source."""

from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from cca.config import PostgresSettings
from cca.embed.embedder import Embedder
from cca.errors import Busy
from cca.postgres.halfvec import packed, unpacked
from cca.postgres.migrate import migrate
from cca.postgres.pool import close_pool, connect_pool
from cca.postgres.tables import Tables
from cca_context import targets
from cca_context.corpus import CODE, MEMORY, Corpus
from cca_context.groups import LARGEST, LONGEST_S, SMALLEST, Progress
from cca_context.vectors import Vectors, VectorTable

halves = st.lists(st.floats(-1, 1, width=16), min_size=1, max_size=400)


@given(halves)
def test_what_is_packed_is_unpacked_as_it_was(numbers: list[float]) -> None:
    vector = np.array(numbers, np.float32)
    assert np.array_equal(unpacked(packed(vector)), vector)


@pytest.mark.covers("PERF-002")
async def test_a_vector_goes_to_the_server_and_back_bit_by_bit(postgres: PostgresSettings) -> None:
    vector = np.random.default_rng(7).standard_normal(384).astype(np.float16).astype(np.float32)
    pool = await connect_pool(postgres, "test", vectors=True)
    try:
        async with pool.acquire() as db:
            await db.execute(
                "CREATE EXTENSION IF NOT EXISTS vector WITH SCHEMA public; CREATE TABLE v (vec halfvec(384))"
            )
            await db.reload_schema_state()
            await db.execute("INSERT INTO v VALUES ($1)", packed(vector))
            back = await db.fetchval("SELECT vec FROM v")
            assert bytes(back) == packed(vector) and np.array_equal(unpacked(back), vector)
    finally:
        await close_pool(pool)


@given(st.binary(max_size=40))
def test_what_is_no_halfvec_is_refused(data: bytes) -> None:
    if len(data) >= 4 and len(data) == 4 + 2 * int.from_bytes(data[:2], "big"):
        assert len(unpacked(data)) == int.from_bytes(data[:2], "big")
    else:
        with pytest.raises(ValueError, match="halfvec"):
            unpacked(data)


@given(st.lists(st.floats(-1, 1, width=32), min_size=2, max_size=400).filter(lambda numbers: any(map(abs, numbers))))
def test_a_vector_of_length_one_keeps_its_direction(numbers: list[float]) -> None:
    vector = np.array(numbers, np.float64)
    if (length := np.linalg.norm(vector)) > 1e-6:
        vector = vector / length
        assert float(unpacked(packed(vector.astype(np.float32))) @ vector) == pytest.approx(1, abs=2e-3)


@pytest.mark.parametrize("corpus", [MEMORY, CODE], ids=lambda corpus: corpus.name)
async def test_the_server_has_the_columns_that_a_corpus_names(postgres: PostgresSettings, corpus: Corpus) -> None:
    pool = await connect_pool(postgres, "test", vectors=True)
    try:
        async with pool.acquire() as db:
            await migrate(db, "cca_projector")
            await migrate(db, "cca_context")
            for name, kind in {**corpus.filters, corpus.key: corpus.key_type, corpus.version: "bigint"}.items():
                found = await db.fetchval(
                    f"SELECT pg_typeof({name})::text FROM (SELECT) x LEFT JOIN {corpus.source} ON true"
                )
                assert found == {"timestamptz": "timestamp with time zone"}.get(kind, kind)
            await db.fetch(f"SELECT words, terms, {', '.join(corpus.filters)} FROM {corpus.terms}")
            await db.execute(targets.create(corpus, 7, 384, {"m": 16, "ef_construction": 64}))
            await db.fetch(f"SELECT {corpus.key}, version, vec, {', '.join(corpus.filters)} FROM {corpus.vectors(7)}")
            await db.execute(targets.create(corpus, 8, 4_000, {"m": 16, "ef_construction": 64}))
    finally:
        await close_pool(pool)


# ------------------------------------------------------------------------------------------ what searches are told


class Nobody:
    """An embedder that is there and never answers."""

    max_tokens = 1

    def __init__(self, id: str) -> None:
        self.id, self.revision, self.dimension = id, "1", 2
        self.closed = False

    async def embed(self, texts: object, kind: object) -> NDArray[np.float32]:
        raise Busy("away")

    async def close(self) -> None:
        self.closed = True


def table(n: int, id: str, state: str, problem: str | None = None) -> VectorTable:
    return VectorTable(n, f"t{n}", id, "1", 2, state, problem, datetime.now(UTC))  # type: ignore[arg-type]  # a state


def known(embedder: Embedder | None, *tables: VectorTable) -> Vectors:
    vectors = Vectors(Tables("test"), embedder, MEMORY)
    vectors._known = tables
    vectors.documents = 10
    return vectors


def test_before_there_is_any_table_searches_go_by_words_and_say_so() -> None:
    vectors = known(Nobody("a"))
    assert vectors.active is None and vectors.note.startswith("vectors are being made")
    assert [(info.state, info.documents) for info in vectors.info()] == [("lexical", 10)]


def test_a_table_is_in_use_before_it_has_everything_and_the_note_says_what_is_missing() -> None:
    vectors = known(Nobody("a"), table(1, "a", "active", "the key is wrong"))
    vectors.embedded = {1: 4}
    assert vectors.active is not None and vectors.active.n == 1
    assert vectors.note == "4 of 10 have a vector yet (the key is wrong)"
    vectors.embedded = {1: 10}
    assert vectors.note == ""


def test_more_vectors_than_texts_are_not_more_than_all() -> None:
    vectors = known(Nobody("a"), table(1, "a", "active"))
    vectors.embedded = {1: 12}
    assert vectors.info()[0].embedded == 10


def test_tables_that_had_their_day_are_not_told_of() -> None:
    vectors = known(Nobody("b"), table(1, "a", "retired"), table(2, "b", "active"))
    assert [info.id for info in vectors.info()] == ["b"]


async def test_an_embedder_that_does_not_answer_makes_a_query_busy() -> None:
    with pytest.raises(Busy, match="away"):
        await known(Nobody("a"), table(1, "a", "active")).query("anything")
    with pytest.raises(Busy, match="being made"):
        await known(Nobody("a")).query("anything")


async def test_the_embedder_of_before_is_looked_for_once_and_closed_at_the_end() -> None:
    asked, old = list[str](), Nobody("old")

    def former(id: str, revision: str) -> Embedder | None:
        asked.append(id)
        return old if id == "old" else None

    vectors = Vectors(Tables("test"), Nobody("new"), MEMORY, former)
    vectors._known = (table(1, "old", "active"), table(2, "older", "retired"))
    assert vectors.active is not None and vectors.active is vectors.active
    assert vectors.maker(vectors.known[1]) is None and vectors.maker(vectors.known[1]) is None
    assert asked == ["old", "older"]
    await vectors.close()
    assert old.closed


# ------------------------------------------------------------------------------------------ how fast it goes on


@given(st.lists(st.tuples(st.booleans(), st.floats(0, 10), st.integers(0, LARGEST)), max_size=60))
def test_groups_stay_within_their_bounds_and_pauses_too(steps: list[tuple[bool, float, int]]) -> None:
    progress, now = Progress(), 0.0
    for fails, took, texts in steps:
        before = progress.size
        now += took
        if fails:
            progress.failed(now)
            assert progress.size <= before and 0 < progress.rest_until - now < LONGEST_S + 1e-6
        else:
            progress.worked(took, texts)
        assert 1 <= progress.size <= LARGEST
        assert progress.size <= 2 * max(before, SMALLEST)


def test_what_keeps_failing_is_alone_in_its_group_in_the_end() -> None:
    progress = Progress()
    progress.size = LARGEST
    for _ in range(9):
        progress.failed(0)
    assert progress.size == 1
