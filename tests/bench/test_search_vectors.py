"""The measurement of vectors, on few of them: that its figures are what they say."""

from pathlib import Path

import numpy as np
import pytest

from cca.bench.search import snippets
from cca.bench.search.vectors import Searches, measure
from cca.config import PostgresSettings
from cca.embed.embedder import normalized
from cca.errors import Misconfigured
from cca.postgres.pool import close_pool, connect_pool


@pytest.mark.covers("PERF-002", "PERF-007")
async def test_few_vectors_are_found_exactly_and_nothing_is_left_behind(postgres: PostgresSettings) -> None:
    chance = np.random.default_rng(1)
    rows = normalized(chance.standard_normal((3_000, 32)).astype(np.float32))
    queries = normalized(rows[:40] + 0.1 * chance.standard_normal((40, 32)).astype(np.float32))
    told: list[str] = []
    figures = await measure(postgres, rows, queries, ef_search=400, told=told.append)
    assert (figures.rows, figures.dimension, figures.ef_search) == (3_000, 32, 400)
    assert [(one.filter, one.way) for one in figures.searches] == [
        ("everything", "index"),
        ("a tenth", "index"),
        ("a tenth", "exact"),
        ("a hundredth", "index"),
        ("a hundredth", "exact"),
    ]
    assert all(recall(one) > (0.99 if one.way == "exact" else 0.9) for one in figures.searches)
    assert all(0 < one.p50_ms <= one.p99_ms for one in figures.searches)
    assert {codec.form for codec in figures.codecs} == {"binary", "text"}
    assert min(figures.inserted_s, figures.copied_s, figures.built_s, figures.index_bytes) > 0
    assert told
    pool = await connect_pool(postgres, "test")
    assert await pool.fetchval("SELECT to_regnamespace('cca_bench_vectors') IS NULL")
    await close_pool(pool)


def recall(searches: Searches) -> float:
    return searches.recall


def test_snippets_are_distinct_and_always_the_same_ones(tmp_path: Path) -> None:
    (tmp_path / "one.py").write_text("def first(argument):\n    return argument + 1\n\n" * 3, encoding="utf-8")
    (tmp_path / "two.py").write_text("value = 'ä' * 100\nother = value.upper()\n", encoding="utf-8")
    (tmp_path / "broken.py").write_bytes(b"\xff\xfe\x00")
    found = snippets.snippets(2, [tmp_path])
    assert sorted(found) == ["def first(argument):\nreturn argument + 1", "value = 'ä' * 100\nother = value.upper()"]
    assert snippets.snippets(2, [tmp_path]) == found
    with pytest.raises(Misconfigured, match="3 snippets are wanted"):
        snippets.snippets(3, [tmp_path])


def test_vectors_of_snippets_are_made_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("onnxruntime")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    told: list[int] = []
    texts = ["open a file and read it", "sort a list by its second column"]
    made = snippets.vectors(texts, 1, lambda done, of: told.append(done))
    assert made.shape == (2, 384) and np.allclose(np.linalg.norm(made, axis=1), 1, atol=1e-5)
    assert np.array_equal(snippets.vectors(texts, 1, lambda done, of: told.append(done)), made)
    assert told == [2]
