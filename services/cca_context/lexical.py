"""Search by words: the documents that have the rarest of them, best BM25 first."""

from collections.abc import Sequence
from typing import Any

from msgspec import Struct

from cca.postgres.pool import Connection
from cca.search.bm25 import K1, B, Match, Statistics, matched
from cca.search.lexemes import LEVELS, tsquery
from cca.search.query import Wanted, wanted
from cca_context.corpus import Corpus
from cca_context.where import Where

BUDGET = 3_000
"""Documents that are looked at for a search, more or less. Of 100,000, fewer change what single common words find."""

_TOP = max(LEVELS.values())
_LEVELS = "{" + ",".join(str(LEVELS[name] / _TOP) for name in "DCBA") + "}"
_RANK = 1.64493406685
"""By what `ts_rank` divides the weight of a lexeme (the sum of 1/n²)."""

SETTINGS = "SET LOCAL plan_cache_mode = force_custom_plan"
"""Plans that were made for other words do not fit: how many documents have them decides."""


class Words(Struct, frozen=True):
    """A query as words, ready to be compared with documents."""

    wanted: Wanted
    statistics: Statistics


async def look(
    connection: Connection, corpus: Corpus, terms: Sequence[str], statistics: Statistics, where: Where, limit: int
) -> tuple[Words, dict[Any, Match]]:
    """The best `limit` documents by BM25, by key. To be called in a transaction with `SETTINGS`."""
    few = statistics.documents <= BUDGET or (bool(where) and await _few(connection, corpus, where))
    words = Words(wanted(terms, statistics, BUDGET, every=few), statistics)
    if not words.wanted.candidates:
        return words, {}
    values: list[object] = [words.wanted.candidates]
    condition, more = where.sql(corpus.filters, 2)
    values += more
    # More than are looked at anyway, in case that words go together more often than by chance.
    found = f"terms @@ $1::tsquery AND {condition} LIMIT {4 * BUDGET}"
    return words, await _matches(connection, corpus, words, found, values, limit)


async def compare(connection: Connection, corpus: Corpus, words: Words, keys: Sequence[Any]) -> dict[Any, Match]:
    """How the documents with these keys match; those that have none of the words are left out."""
    if not keys or not words.wanted.terms:
        return {}
    found = f"{corpus.key} = ANY($1::{corpus.key_type}[]) OFFSET 0"
    matches = await _matches(connection, corpus, words, found, [list(keys)], len(keys))
    return {key: match for key, match in matches.items() if match.terms}


async def _few(connection: Connection, corpus: Corpus, where: Where) -> bool:
    condition, values = where.sql(corpus.filters, 1)
    sql = f"SELECT count(*) FROM (SELECT FROM {corpus.terms} WHERE {condition} LIMIT {BUDGET + 1}) AS few"
    return bool(await connection.fetchval(sql, *values) <= BUDGET)


async def _matches(
    connection: Connection, corpus: Corpus, words: Words, found: str, values: list[object], limit: int
) -> dict[Any, Match]:
    terms, idf = words.wanted.terms, words.wanted.idf
    mean = words.statistics.words or 1.0
    base = len(values) + 1
    values = [*values, limit, K1 * (1 - B), K1 * B / mean, *(tsquery([term], "&") for term in terms), *idf]
    numbers = range(len(terms))
    queries = [f"${base + 3 + number}::tsquery" for number in numbers]
    weights = [f"${base + 3 + len(terms) + number}::float8" for number in numbers]
    # A lexeme's weight says how often it is there, and ts_rank gives the weight back. What `found` ends with, LIMIT or
    # OFFSET, keeps PostgreSQL from working it out twice.
    counts = ", ".join(
        f"ts_rank('{_LEVELS}', terms, {queries[number]})::float8 * {_TOP * _RANK} AS n{number}" for number in numbers
    )
    score = " + ".join(f"{weights[number]} * n{number} / (n{number} + penalty)" for number in numbers)
    rows = await connection.fetch(
        f"SELECT {corpus.key}, words, {', '.join(f'n{number}' for number in numbers)} FROM ("
        f"SELECT {corpus.key}, words, ${base + 1}::float8 + ${base + 2}::float8 * words AS penalty, {counts}"
        f" FROM {corpus.terms} WHERE {found}) AS found ORDER BY {score} DESC, {corpus.key} LIMIT ${base}::bigint",
        *values,
    )
    return {row[0]: matched(terms, idf, words.wanted.total, row[2:], row[1], mean) for row in rows}
