"""Numbers for those who watch, in Prometheus' text format: what was spent and saved, since the log began; and what is
kept now.

Nobody can make more than a bounded number of series: what is beyond the bounds is summed up as `other`. What came first
keeps its name, so that no counter ever goes back.
"""

import asyncio
from collections.abc import Iterable, Sequence

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.metrics_core import Metric

from cca.errors import Busy
from cca.postgres.tables import Row, Tables
from cca_gateway import held, queries

MEDIA_TYPE = CONTENT_TYPE_LATEST
AGE = 5.0
"""Seconds for which the numbers are good enough."""

_WHO = ("role", "lane", "model")
_COUNTERS = (
    ("cca_tokens_input", "input_tokens", "Input tokens that were neither read from nor written to a cache."),
    ("cca_tokens_output", "output_tokens", "Output tokens."),
    ("cca_tokens_cache_read", "cache_read_tokens", "Input tokens that came from the provider's cache."),
    ("cca_tokens_cache_write", "cache_write_tokens", "Input tokens that were written to the provider's cache."),
)


class _Families:
    """What `generate_latest` takes for a registry."""

    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        return self._families


async def text(tables: Tables) -> bytes:
    """All numbers. When the tables cannot be read, only that, and whether they are asked at all."""
    try:
        used, saved = await queries.spent(tables), await queries.saved(tables)
        kept = held.sharing(await queries.shared(tables)) + held.remembering(await queries.remembered(tables))
    except Busy:
        return generate_latest(_Families([_up(False), *held.breaking(tables.breaker)]))
    try:
        kept += held.indexing(await queries.indexed(tables))
    except Busy:
        pass  # the context service has not made its tables yet
    found = [_up(True), *held.breaking(tables.breaker), *kept]
    return await asyncio.to_thread(lambda: generate_latest(_Families([*found, *spending(used), *saving(saved)])))


def _up(up: bool) -> Metric:
    return GaugeMetricFamily("cca_tables_up", "Whether the tables that the numbers come from can be read.", int(up))


def spending(rows: Sequence[Row]) -> list[Metric]:
    """What attempts used that have told a usage, by role, lane and model."""
    found: list[Metric] = []
    for name, column, help in _COUNTERS:
        counter = CounterMetricFamily(name, help, labels=_WHO)
        for row in rows:
            counter.add_metric(_who(row), float(row[column]))
        found.append(counter)
    attempts = CounterMetricFamily(
        "cca_tokens_attempts", "Attempts that have told a usage, by how they ended.", labels=(*_WHO, "outcome")
    )
    cost = CounterMetricFamily(
        "cca_tokens_cost_usd", "What it cost, as workers reported it or from the price table.", labels=(*_WHO, "source")
    )
    for row in rows:
        who, estimated = _who(row), float(row["estimated_nanousd"]) / 1e9
        attempts.add_metric((*who, "completed"), float(row["attempts"] - row["failed"]))
        attempts.add_metric((*who, "failed"), float(row["failed"]))
        cost.add_metric((*who, "reported"), float(row["cost_nanousd"] - row["estimated_nanousd"]) / 1e9)
        cost.add_metric((*who, "table"), estimated)
    return [*found, attempts, cost, _peaks(rows), _ratios(rows)]


def _peaks(rows: Sequence[Row]) -> Metric:
    peaks: dict[tuple[str, str], float] = {}
    for row in rows:
        key = (row["role"], row["model"])
        peaks[key] = max(peaks.get(key, 0.0), float(row["peak_context_tokens"]))
    gauge = GaugeMetricFamily(
        "cca_tokens_peak_context_tokens", "The largest context of one request, ever.", labels=("role", "model")
    )
    for key, peak in peaks.items():
        if peak:
            gauge.add_metric(key, peak)
    return gauge


def _ratios(rows: Sequence[Row]) -> Metric:
    sums: dict[str, tuple[float, float]] = {}
    for row in rows:
        counted, actual = sums.get(row["model"], (0.0, 0.0))
        sums[row["model"]] = (counted + float(row["counted_tokens"]), actual + float(row["counted_actual"]))
    text = "Input tokens that were billed for each that our own counter had said, where workers told both."
    gauge = GaugeMetricFamily("cca_tokens_estimate_ratio", text, labels=("model",))
    for model, (counted, actual) in sums.items():
        if counted:
            gauge.add_metric((model,), actual / counted)
    return gauge


def saving(rows: Sequence[Row]) -> list[Metric]:
    """What compression saved, cut and was wanted back, by role and strategy; contexts by role."""
    by_strategy, by_role = ("role", "strategy"), ("role",)
    saved = CounterMetricFamily("cca_tokens_saved", "Tokens that compression has saved.", labels=by_strategy)
    retrieved = CounterMetricFamily(
        "cca_tokens_retrieved", "Cuts that were expanded again, each time.", labels=by_strategy
    )
    cuts = CounterMetricFamily("cca_tokens_cuts", "Pieces of text that were folded.", labels=by_strategy)
    condensed = CounterMetricFamily(
        "cca_tokens_condensed", "Contexts of tasks that were compressed before dispatch.", labels=by_role
    )
    for row in rows:
        if row["strategy"] or row["cuts"]:  # old events do not tell by what strategies they cut
            cuts.add_metric((row["role"], row["strategy"]), float(row["cuts"]))
        if row["strategy"]:
            saved.add_metric((row["role"], row["strategy"]), float(row["saved_tokens"]))
            retrieved.add_metric((row["role"], row["strategy"]), float(row["retrieved"]))
        else:  # it tells of whole texts
            condensed.add_metric((row["role"],), float(row["condensed"]))
    return [saved, retrieved, cuts, condensed]


def _who(row: Row) -> tuple[str, str, str]:
    return row["role"], row["lane"], row["model"]
