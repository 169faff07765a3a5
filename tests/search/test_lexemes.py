"""Terms as PostgreSQL reads them: exactly those, as often as they are there."""

from collections import Counter

import asyncpg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cca.config import PostgresSettings
from cca.search.lexemes import LEVELS, LONGEST, MOST, level, tsquery, tsvector

NASTY = [
    "'",
    "''",
    "\\",
    "\\'",
    "a b",
    ":*",
    "a:1",
    "&",
    "!x",
    "(",
    "é",
    "日本",
    "\U0001f600",
    "a\\",
    " ",
    "\n",
    "x'\\",
]
_READ = "SELECT lexeme, positions[1], weights[1] FROM unnest($1::tsvector)"


async def test_what_was_counted_is_read_back_with_its_count_and_level(postgres: PostgresSettings) -> None:
    counts = {term: number + 1 for number, term in enumerate(NASTY)}
    db = await asyncpg.connect(postgres.url, password=postgres.password)
    try:
        rows = await db.fetch(_READ, tsvector(term for term, count in counts.items() for _ in range(count)))
        assert {row[0]: row[1] for row in rows} == counts
        assert {row[0]: row[2] for row in rows} == {term: level(count) for term, count in counts.items()}
        for term in NASTY:
            assert await db.fetchval("SELECT $1::tsvector @@ $2::tsquery", tsvector(NASTY), tsquery([term], "&"))
            assert not await db.fetchval("SELECT $1::tsvector @@ $2::tsquery", tsvector(["b"]), tsquery([term], "|"))
        assert await db.fetchval("SELECT $1::tsvector @@ $2::tsquery", tsvector(NASTY), tsquery(NASTY, "&"))
        assert await db.fetchval("SELECT $1::tsvector @@ $2::tsquery", tsvector(["é"]), tsquery([*NASTY, "z"], "|"))
    finally:
        await db.close()


async def test_what_is_too_much_for_postgresql_is_left_out(postgres: PostgresSettings) -> None:
    db = await asyncpg.connect(postgres.url, password=postgres.password)
    try:
        many = [f"term{number}" for number in range(200_000)]
        kept = await db.fetchval("SELECT length($1::tsvector)", tsvector(many))
        assert 50_000 < kept < 200_000
        long = "é" * 5_000
        rows = await db.fetch(_READ, tsvector([long, "a\0b", "\ud800", "\0", ""] + ["often"] * 20_000))
        assert {row[0]: row[1] for row in rows} == {"é" * (LONGEST // 2): 1, "ab": 1, "often": MOST}
        assert await db.fetchval("SELECT $1::tsvector @@ $2::tsquery", tsvector([long]), tsquery([long], "&"))
        assert await db.fetchval("SELECT length($1::tsvector)", tsvector([])) == 0
        assert not await db.fetchval("SELECT $1::tsvector @@ $2::tsquery", tsvector(["a"]), tsquery([], "|"))
        everything = tsquery(many[:2_000], "|")
        assert await db.fetchval("SELECT $1::tsvector @@ $2::tsquery", tsvector(many[1_999:2_000]), everything)
    finally:
        await db.close()


@given(st.lists(st.text(max_size=8), max_size=30))
def test_every_storable_term_is_there_once(terms: list[str]) -> None:
    stored = Counter(cleaned for term in terms if (cleaned := term.replace("\0", "")))
    text = tsvector(terms)
    for term, count in stored.items():
        quoted = term.replace("\\", "\\\\").replace("'", "''")
        assert f"'{quoted}':{count}{level(count)}" in text


@pytest.mark.parametrize("count", range(1, 20))
def test_levels_grow_with_the_count(count: int) -> None:
    assert LEVELS[level(count)] <= LEVELS[level(count + 1)]
