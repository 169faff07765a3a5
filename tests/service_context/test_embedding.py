"""The loop that keeps words and vectors in step with the texts, on a real PostgreSQL with pgvector."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any
from zlib import crc32

import numpy as np
import pytest
from numpy.typing import NDArray

from cca.config import ContextSettings, PostgresSettings
from cca.embed.choice import make
from cca.embed.embedder import Embedder, Kind
from cca.errors import Busy, Misconfigured, Refused
from cca.pool.pool import Pool
from cca.postgres.halfvec import packed, unpacked
from cca.postgres.migrate import migrate
from cca.postgres.pool import Connection
from cca.postgres.tables import Tables, connect
from cca.search.terms import terms
from cca.testing.servers import PostgresServer
from cca_context.corpus import CODE, MEMORY, Corpus
from cca_context.embedding import Embedding
from cca_context.vectors import Vectors
from cca_context.work import WORK


class Bags:
    """An embedder without a model: the same words give the same direction. What it is told not to take, it refuses."""

    max_tokens = 1_000

    def __init__(self, id: str = "bags", dimension: int = 16) -> None:
        self.id, self.revision, self.dimension = id, "1", dimension
        self.asked: list[str] = []
        self.largest = 0
        self.problem: Exception | None = None
        self.poison = "\0"
        self.gate = asyncio.Event()
        self.gate.set()
        self.closed = False

    async def embed(self, texts: Sequence[str], kind: Kind) -> NDArray[np.float32]:
        await self.gate.wait()
        if self.problem is not None:
            raise self.problem
        if any(self.poison in text for text in texts):
            raise Refused("bad-text", "that one not")
        self.asked.extend(texts)
        self.largest = max(self.largest, len(texts))
        rows = np.full((len(texts), self.dimension), 0.01, np.float32)
        for row, text in zip(rows, texts, strict=True):
            for word in text.lower().split():
                row[crc32(word.encode()) % self.dimension] += 1
        made: NDArray[np.float32] = rows / np.linalg.norm(rows, axis=1, keepdims=True)
        return made

    async def close(self) -> None:
        self.closed = True


async def prepare(connection: Connection) -> None:
    await migrate(connection, "cca_projector")
    await migrate(connection, "cca_context")


@pytest.fixture
async def tables(postgres: PostgresSettings) -> AsyncIterator[Tables]:
    async with opened(postgres) as tables:
        yield tables


@asynccontextmanager
async def opened(postgres: PostgresSettings) -> AsyncIterator[Tables]:
    async with connect(postgres, "test", prepare) as tables:
        await eventually(lambda: there(tables))
        yield tables


async def there(tables: Tables) -> bool:
    try:
        return bool(await tables.rows("SELECT 1"))
    except Busy:
        return False


async def eventually(holds: Callable[[], Awaitable[bool]] | Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while True:
            found = holds()
            if found if isinstance(found, bool) else await found:
                return
            await asyncio.sleep(0.02)


@asynccontextmanager
async def loop(
    tables: Tables, embedder: Embedder | None, corpus: Corpus = MEMORY, **more: Any
) -> AsyncIterator[tuple[Vectors, Embedding]]:
    changed = more.pop("changed", lambda: None)
    vectors = Vectors(tables, embedder, corpus, **more)
    embedding = Embedding(tables, vectors, changed)
    await embedding.start()
    try:
        yield vectors, embedding
    finally:
        await embedding.stop()


async def settled(embedding: Embedding) -> None:
    async with asyncio.timeout(30):
        await embedding.settled()


_ADD = """
INSERT INTO cca.memories (memory, text, kind, scope, digest, role, labels, redacted, created_at, successes, failures,
    merged, used, stored_seq, seq)
SELECT memory, text, 'fact', 'project:p', md5(text), 'docs', '{}', '{}', '2026-01-01Z', 0, 0, 0, 0, seq, seq
FROM unnest($1::text[], $2::text[], $3::bigint[]) AS new(memory, text, seq)
"""
_ADD_CHUNK = """
INSERT INTO cca.code_chunks (project, path, language, kind, name, title, signature, start_line, end_line, text, digest,
    words, terms)
VALUES ('p', 'a.py', 'python', 'function', $1, $2, '', 1, 2, $3, '\\x00', 1, '''a''') RETURNING chunk
"""


async def remember(tables: Tables, texts: dict[str, str], first: int = 1) -> None:
    await tables.rows(_ADD, list(texts), list(texts.values()), list(range(first, first + len(texts))))


async def keys(tables: Tables, table: str, key: str = "memory") -> set[Any]:
    return {row[0] for row in await tables.rows(f"SELECT {key} FROM {table}")}


async def nearest(tables: Tables, vectors: Vectors, query: str) -> list[str]:
    active = vectors.active
    assert active is not None
    rows = await tables.rows(
        f"SELECT memory FROM {active.table} ORDER BY vec <#> $1::halfvec LIMIT 3", packed(await vectors.query(query))
    )
    return [row[0] for row in rows]


# ------------------------------------------------------------------------------------------ following


async def test_texts_get_words_and_vectors_with_the_columns_to_filter_by(tables: Tables) -> None:
    await remember(tables, {"a": "Retry the upload", "b": "maxTokens of the policy"})
    async with loop(tables, Bags()) as (vectors, embedding):
        await settled(embedding)
        (row,) = await tables.rows("SELECT * FROM cca.memory_terms WHERE memory = 'b'")
        assert (row["scope"], row["role"], row["kind"], row["version"]) == ("project:p", "docs", "fact", 2)
        assert row["words"] == len(terms("maxTokens of the policy")) and "'policy'" in row["terms"]
        assert vectors.active is not None and vectors.active.dimension == 16
        (row,) = await tables.rows(f"SELECT * FROM {vectors.active.table} WHERE memory = 'a'")
        assert (row["scope"], row["role"], row["kind"], row["version"]) == ("project:p", "docs", "fact", 1)
        assert np.linalg.norm(unpacked(row["vec"])) == pytest.approx(1, abs=2e-3)
        assert await nearest(tables, vectors, "retry upload") == ["a", "b"]
        (info,) = vectors.info()
        assert (info.state, info.documents, info.embedded, info.problem) == ("active", 2, 2, None)
        assert vectors.note == ""


async def test_what_is_stored_later_follows_without_a_wake(tables: Tables) -> None:
    async with loop(tables, Bags()) as (vectors, embedding):
        await settled(embedding)
        await remember(tables, {"a": "one"})

        async def found() -> bool:
            return vectors.active is not None and await keys(tables, vectors.active.table) == {"a"}

        await eventually(found)


async def test_what_is_forgotten_goes_from_words_and_vectors(tables: Tables) -> None:
    await remember(tables, {"a": "one", "b": "two"})
    async with loop(tables, Bags()) as (vectors, embedding):
        await settled(embedding)
        await tables.rows("DELETE FROM cca.memories WHERE memory = 'a'")
        await settled(embedding)
        assert vectors.active is not None
        assert await keys(tables, "cca.memory_terms") == await keys(tables, vectors.active.table) == {"b"}
        assert vectors.documents == 1


async def test_what_comes_into_the_table_late_and_before_others_is_not_overlooked(tables: Tables) -> None:
    await remember(tables, {"late": "its transaction ended after the next one's"}, first=20)
    async with loop(tables, Bags()) as (vectors, embedding):
        await settled(embedding)
        await remember(tables, {"early": "with a lower number"}, first=10)
        await settled(embedding)
        assert vectors.active is not None
        assert await keys(tables, vectors.active.table) == {"early", "late"}


async def test_a_text_that_is_another_under_the_same_key_gets_another_vector(tables: Tables) -> None:
    await remember(tables, {"a": "one"})
    async with loop(tables, bags := Bags()) as (vectors, embedding):
        await settled(embedding)
        await tables.rows("DELETE FROM cca.memories")
        await remember(tables, {"a": "quite another"}, first=7)
        await settled(embedding)
        assert bags.asked == ["one", "quite another"]
        (row,) = await tables.rows("SELECT version, terms FROM cca.memory_terms")
        assert row["version"] == 7 and "'another'" in row["terms"]
        assert vectors.embedded == {vectors.known[0].n: 1}


async def test_many_texts_go_in_groups_that_grow(tables: Tables) -> None:
    await remember(tables, {f"m{number}": f"text {number}" for number in range(1_500)})
    async with loop(tables, bags := Bags()) as (vectors, embedding):
        await settled(embedding)
        assert sorted(bags.asked) == sorted(f"text {number}" for number in range(1_500))
        assert 16 < bags.largest <= 512
        assert vectors.info()[0].embedded == 1_500


async def test_a_chunk_of_code_is_embedded_with_its_title_and_not_beyond_the_limit(tables: Tables) -> None:
    (row,) = await tables.rows(_ADD_CHUNK, "f", "a.py f", "def f(): " + "x" * 5_000)
    async with loop(tables, bags := Bags(), CODE) as (vectors, embedding):
        await settled(embedding)
        assert bags.asked[0].startswith("a.py f\ndef f(): xx") and len(bags.asked[0]) == 2_000
        assert vectors.active is not None
        assert await keys(tables, vectors.active.table, "chunk") == {row["chunk"]}
        (row,) = await tables.rows(f"SELECT project, language, kind, path FROM {vectors.active.table}")
        assert tuple(row) == ("p", "python", "function", "a.py")


async def test_without_an_embedder_there_are_words_alone(tables: Tables) -> None:
    await remember(tables, {"a": "one"})
    async with loop(tables, None) as (vectors, embedding):
        await settled(embedding)
        assert await keys(tables, "cca.memory_terms") == {"a"}
        assert vectors.active is None and "no embedder" in vectors.note
        assert [info.state for info in vectors.info()] == ["lexical"]
        with pytest.raises(Busy, match="no embedder"):
            await vectors.query("one")


async def test_who_caches_answers_hears_of_changes_in_this_process_and_in_others(tables: Tables) -> None:
    here, there = list[int](), list[int]()
    async with (
        loop(tables, Bags(), changed=lambda: here.append(1)) as (_, first),
        loop(tables, Bags(), changed=lambda: there.append(1)) as (_, second),
    ):
        await settled(first)
        await settled(second)
        here.clear()
        there.clear()
        await remember(tables, {"a": "one"})
        await eventually(lambda: bool(here and there))


# ------------------------------------------------------------------------------------------ two at a time, and none


async def test_two_processes_share_the_work_and_do_nothing_twice(tables: Tables, postgres: PostgresSettings) -> None:
    await remember(tables, {f"m{number}": f"text {number}" for number in range(300)})
    first, second = Bags(), Bags()
    async with opened(postgres) as others, loop(tables, first) as (_, one), loop(others, second) as (_, two):
        await asyncio.gather(settled(one), settled(two))
        assert sorted(first.asked + second.asked) == sorted(f"text {number}" for number in range(300))
        assert len(await tables.rows("SELECT FROM cca.embedders")) == 1


async def test_an_endpoint_that_is_away_is_named_and_asked_again(tables: Tables) -> None:
    await remember(tables, {"a": "one"})
    bags = Bags()
    bags.problem = Busy("bags: connection refused")
    async with loop(tables, bags) as (vectors, embedding):
        await eventually(lambda: vectors.info()[0].problem == "bags: connection refused")
        assert "connection refused" in vectors.note
        assert await keys(tables, "cca.memory_terms") == {"a"}
        bags.problem = None
        await settled(embedding)
        await eventually(lambda: vectors.info()[0].problem is None)
        assert vectors.info()[0].embedded == 1


async def test_words_do_not_wait_for_an_endpoint_that_has_not_told_its_dimension(tables: Tables) -> None:
    await remember(tables, {"a": "one"})
    bags = Bags(dimension=0)
    bags.problem = Misconfigured("context.embedder_key: is not accepted")
    async with loop(tables, bags) as (vectors, embedding):

        async def words() -> bool:
            return await keys(tables, "cca.memory_terms") == {"a"}

        await eventually(words)
        await eventually(lambda: vectors.problem == "context.embedder_key: is not accepted")
        assert vectors.active is None
        bags.dimension, bags.problem = 16, None
        await settled(embedding)
        assert vectors.active is not None and vectors.problem is None


async def test_a_text_that_alone_is_refused_does_not_hold_up_the_others(
    tables: Tables, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cca_context.groups.PAUSE_S", 0.01)
    monkeypatch.setattr("cca_context.groups.PATIENCE_S", 0.02)
    await remember(tables, {"a": "one", "bad": "a poisoned text", "c": "three", "bad2": "poisoned too", "e": "five"})
    bags = Bags()
    bags.poison = "poisoned"
    async with loop(tables, bags) as (vectors, embedding):
        await settled(embedding)
        assert vectors.active is not None
        assert await keys(tables, vectors.active.table) == {"a", "c", "e"}
        assert (vectors.info()[0].embedded, vectors.documents) == (3, 5)


async def test_an_embedder_that_gives_other_vectors_than_it_said_fills_no_table(tables: Tables) -> None:
    await remember(tables, {"a": "one"})
    bags = Bags()
    async with loop(tables, bags) as (vectors, embedding):
        await settled(embedding)
        bags.dimension = 8
        await remember(tables, {"b": "two"}, first=2)
        await eventually(lambda: "8 numbers" in (vectors.info()[0].problem or ""))
        with pytest.raises(Busy, match="8 numbers"):
            await vectors.query("one")


# ------------------------------------------------------------------------------------------ another embedder


async def test_another_embedder_is_built_beside_the_one_in_use_and_takes_its_place_when_it_has_caught_up(
    tables: Tables,
) -> None:
    await remember(tables, {f"m{number}": f"text {number}" for number in range(50)})
    old, new = Bags("old"), Bags("new", 24)
    async with loop(tables, old) as (_, embedding):
        await settled(embedding)
    new.gate.clear()
    async with loop(tables, new, former=lambda id, revision: old) as (vectors, embedding):
        await eventually(lambda: vectors.building is not None and vectors.documents == 50)
        assert [(info.id, info.state, info.embedded) for info in vectors.info()] == [
            ("old", "active", 50),
            ("new", "building", 0),
        ]
        assert vectors.active is not None and vectors.active.id == "old"
        assert await nearest(tables, vectors, "text 7")  # searches go on, by the old one
        new.gate.set()
        await eventually(lambda: vectors.active is not None and vectors.active.id == "new")
        await settled(embedding)
        assert [(info.id, info.state, info.embedded) for info in vectors.info()] == [("new", "active", 50)]
        assert len(await vectors.query("text 7")) == 24


async def test_while_another_embedder_is_built_the_one_in_use_gets_what_is_new(tables: Tables) -> None:
    await remember(tables, {"a": "one"})
    old, new = Bags("old"), Bags("new")
    async with loop(tables, old) as (_, embedding):
        await settled(embedding)
    new.problem = Busy("away")
    async with loop(tables, new, former=lambda id, revision: old) as (vectors, _):
        await eventually(lambda: vectors.building is not None)
        await remember(tables, {"b": "two"}, first=2)

        async def found() -> bool:
            return vectors.active is not None and await keys(tables, vectors.active.table) == {"a", "b"}

        await eventually(found)
        assert old.asked == ["one", "two"]


async def test_without_the_embedder_of_before_searches_say_why_they_go_by_words_alone(tables: Tables) -> None:
    await remember(tables, {"a": "one"})
    async with loop(tables, Bags("old")) as (_, embedding):
        await settled(embedding)
    new = Bags("new")
    new.gate.clear()
    async with loop(tables, new) as (vectors, _):
        await eventually(lambda: vectors.building is not None and vectors.documents == 1)
        assert vectors.active is None
        assert vectors.note == "vectors are being made (0 of 1): by words alone until then"
        new.gate.set()
        await eventually(lambda: vectors.active is not None)


async def test_a_table_that_had_its_day_is_dropped_a_little_later(tables: Tables) -> None:
    await remember(tables, {"a": "one"})
    async with loop(tables, Bags("old")) as (vectors, embedding):
        await settled(embedding)
        assert vectors.active is not None
        before = vectors.active.table
    async with loop(tables, Bags("new")) as (vectors, embedding):
        await eventually(lambda: vectors.active is not None)
        await settled(embedding)
        assert await keys(tables, before) == {"a"}  # searches that began before may still read it
        await tables.rows("UPDATE cca.embedders SET changed_at = now() - interval '2 minutes' WHERE id = 'old'")

    async with loop(tables, Bags("new")):

        async def dropped() -> bool:
            return not await tables.rows("SELECT FROM pg_class WHERE oid = to_regclass($1)", before)

        await eventually(dropped)
        assert [row[0] for row in await tables.rows("SELECT id FROM cca.embedders")] == ["new"]


async def test_going_back_to_the_embedder_in_use_ends_the_building_of_another(tables: Tables) -> None:
    await remember(tables, {"a": "one"})
    async with loop(tables, Bags("old")) as (_, embedding):
        await settled(embedding)
    new = Bags("new")
    new.problem = Busy("away")
    async with loop(tables, new) as (vectors, _):
        await eventually(lambda: vectors.building is not None)
    async with loop(tables, Bags("old")) as (vectors, embedding):
        await settled(embedding)
        assert [(info.id, info.state) for info in vectors.info()] == [("old", "active")]


async def test_processes_with_other_settings_do_not_undo_each_others_work_for_ever(tables: Tables) -> None:
    await remember(tables, {"a": "one"})
    old, new = Bags("old"), Bags("new")
    async with loop(tables, old) as (before, first):
        await settled(first)
        async with loop(tables, new) as (after, second):
            await eventually(lambda: after.active is not None and after.active.id == "new")
            await settled(second)
            await eventually(lambda: before.active is None)  # it sees that, and knows that it cannot ask for those
            await remember(tables, {"b": "two"}, first=2)
            await settled(second)
            assert after.active is not None and await keys(tables, after.active.table) == {"a", "b"}
            assert "two" not in old.asked
            assert [info.id for info in before.info()] == ["new"]


async def test_the_real_model_finds_what_means_the_same_in_other_words(tables: Tables) -> None:
    pytest.importorskip("onnxruntime")
    pytest.importorskip("tokenizers")
    await remember(
        tables,
        {
            "slow": "The build takes long because the test database is made anew for every test.",
            "key": "Sign-in fails when the clock of the machine is wrong.",
            "tea": "The kitchen is out of green tea.",
        },
    )
    pool = Pool(WORK, workers=1)
    try:
        model = make(ContextSettings(), pool)
        assert model is not None
        async with loop(tables, model) as (vectors, embedding):
            await settled(embedding)
            assert [(info.id, info.dimension, info.embedded) for info in vectors.info()] == [
                ("minilm-l6-v2-int8", 384, 3)
            ]
            assert (await nearest(tables, vectors, "users cannot log in"))[0] == "key"
            assert (await nearest(tables, vectors, "why are our unit checks not faster?"))[0] == "slow"
    finally:
        await pool.close()


# ------------------------------------------------------------------------------------------ outages


async def test_it_goes_on_by_itself_after_postgres_was_killed(postgres_server: PostgresServer) -> None:
    settings = postgres_server.settings()
    async with AsyncExitStack() as stack:
        tables = await stack.enter_async_context(opened(settings))
        await remember(tables, {"a": "one"})
        vectors, embedding = await stack.enter_async_context(loop(tables, Bags()))
        await settled(embedding)
        postgres_server.kill()
        await eventually(lambda: vectors.problem is not None)
        postgres_server.start()
        await eventually(lambda: there(tables))
        await remember(tables, {"b": "two"}, first=2)
        await settled(embedding)
        assert vectors.problem is None and vectors.embedded == {1: 2}


async def test_it_waits_for_tables_that_the_projector_has_not_made_yet(postgres: PostgresSettings) -> None:
    async def only_ours(connection: Connection) -> None:
        await migrate(connection, "cca_context")

    async with connect(postgres, "test", only_ours) as tables, loop(tables, Bags()) as (vectors, embedding):
        await eventually(lambda: vectors.problem == "the tables are not there yet")
        async with tables.connection() as connection:
            await migrate(connection, "cca_projector")
        await remember(tables, {"a": "one"})
        await settled(embedding)
        assert vectors.info()[0].embedded == 1


PROCESS = """
import asyncio, os, sys
from cca.config import PostgresSettings
from cca.postgres.tables import connect
from cca_context.corpus import MEMORY
from cca_context.embedding import Embedding
from cca_context.vectors import Vectors
import importlib.util
spec = importlib.util.spec_from_file_location("bags", sys.argv[2]); bags = importlib.util.module_from_spec(spec)
spec.loader.exec_module(bags)

class Slow(bags.Bags):
    async def embed(self, texts, kind):
        await asyncio.sleep(0.05)
        return await super().embed(texts, kind)

async def main():
    settings = PostgresSettings(url=sys.argv[1], password=os.environ["SECRET"])
    async with connect(settings, "victim", bags.prepare) as tables:
        await Embedding(tables, Vectors(tables, Slow(), MEMORY)).start()
        await asyncio.sleep(60)

asyncio.run(main())
"""


async def test_a_process_that_is_killed_leaves_nothing_that_the_next_one_cannot_finish(
    tables: Tables, postgres: PostgresSettings
) -> None:
    await remember(tables, {f"m{number}": f"text {number}" for number in range(3_000)})
    for least in (1, 300):
        command = [sys.executable, "-c", PROCESS, postgres.url, __file__]
        victim = subprocess.Popen(command, env=os.environ | {"SECRET": postgres.password or ""})
        try:

            async def begun(least: int = least) -> bool:
                found = await tables.rows("SELECT to_regclass('cca.memory_vectors_1') IS NOT NULL AS there")
                return found[0]["there"] and len(await keys(tables, "cca.memory_vectors_1")) >= least

            await eventually(begun)
        finally:
            os.kill(victim.pid, signal.SIGKILL)
            victim.wait()
    done = await keys(tables, "cca.memory_vectors_1")
    assert len(done) < 3_000
    async with loop(tables, bags := Bags()) as (vectors, embedding):
        await settled(embedding)
        assert vectors.active is not None and vectors.active.n == 1
        assert len(await keys(tables, vectors.active.table)) == 3_000
        assert len(bags.asked) <= 3_000 - len(done)  # the last group may have come in after we looked
        assert len(await keys(tables, "cca.memory_terms")) == 3_000
